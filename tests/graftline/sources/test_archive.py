"""A TFDS set is prepared from a local archive, without a network."""

import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image
from tensorflow_datasets.core.download.checksums import UrlInfo

from graftline.base.errors import UserError
from graftline.cli.main import main
from graftline.settings.data import Data
from graftline.settings.load import CONFIG_VARIABLE

URL = "https://pets.invalid/tiny_pets.zip"


class TinyPets(tfds.core.GeneratorBasedBuilder):
    """A set made from one archive, in the layout of cats_vs_dogs."""

    VERSION = tfds.core.Version("1.0.0")
    url_infos = {URL: UrlInfo(size=1, checksum="0" * 64, filename="tiny_pets.zip")}  # noqa: RUF012

    def _info(self):
        features = {"image": tfds.features.Image(), "label": tfds.features.ClassLabel(names=["cat", "dog"])}
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(features), supervised_keys=("image", "label")
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(dl_manager.iter_archive(dl_manager.download(URL)))}

    def _generate_examples(self, files):
        for name, file in files:
            yield name, {"image": file, "label": name.split("/")[1].lower()}


@pytest.fixture
def pets(tmp_path):
    path = tmp_path / "downloaded.zip"
    with zipfile.ZipFile(path, "w") as pets:
        for name in ("Cat/0", "Cat/1", "Dog/0"):
            stream = io.BytesIO()
            Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(stream, "JPEG")
            pets.writestr(f"PetImages/{name}.jpg", stream.getvalue())
    return path


@pytest.fixture
def data(tmp_path):
    return Data(dataset="tiny_pets", data_dir=tmp_path / "data")


def test_the_set_is_prepared_and_nothing_else_is_left(data, pets, capsys):
    data.source.prepare(pets)
    assert tfds.builder("tiny_pets", data_dir=data.data_dir).info.splits["train"].num_examples == 3
    assert [path.name for path in data.data_dir.iterdir()] == ["tiny_pets"]
    said = capsys.readouterr()
    first, last = said.out.splitlines()
    assert "examples/s" not in said.err
    assert first.startswith("Preparing tiny_pets/1.0.0")
    assert last.startswith("Prepared 3 examples")
    assert pets.is_file()


def test_what_is_prepared_already_is_left_alone(data, pets, capsys):
    data.source.prepare(pets)
    data.source.prepare(pets.with_name("needed_no_more.zip"))
    assert "is already prepared" in capsys.readouterr().out


def test_a_wrong_archive_is_refused_and_does_not_pass_for_a_download_later(data, pets):
    with zipfile.ZipFile(pets, "w") as other:
        other.writestr("README/tiger/1.txt", "not a pet")
    with pytest.raises(UserError, match="give the set's original archive"):
        data.source.prepare(pets)
    assert not [path for path in data.data_dir.rglob("*") if path.is_file() or path.is_symlink()]


@pytest.mark.parametrize("content", [None, b"", b"PK but no zip"])
def test_what_is_no_zip_file_is_refused(content, data, pets):
    pets.unlink()
    if content is not None:
        pets.write_bytes(content)
    with pytest.raises(UserError, match="is not a zip file"):
        data.source.prepare(pets)


def test_a_set_without_exactly_one_download_is_refused(tmp_path, pets):
    with pytest.raises(UserError, match=r"^digits is made from 0 downloads"):
        Data(dataset="digits", data_dir=tmp_path).source.prepare(pets)
    with pytest.raises(UserError, match=r"^mnist is made from 4 downloads"):
        Data(dataset="mnist", data_dir=tmp_path).source.prepare(pets)


def test_a_folder_is_refused(tmp_path, pets):
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in (1, 2):
            (tmp_path / "photos" / name / f"{number}.jpg").write_bytes(b"")
    with pytest.raises(UserError, match="needs no archive"):
        Data(dataset=f"folder:{tmp_path / 'photos'}").source.prepare(pets)


def test_the_command_tells_mistakes_without_a_traceback(tmp_path, monkeypatch, capsys):
    config = tmp_path / "tiny.yaml"
    config.write_text(f"name: tiny\ndata: {{dataset: tiny_pets, data_dir: {tmp_path}}}\ngate: {{min_accuracy: 0.5}}\n")
    monkeypatch.setenv(CONFIG_VARIABLE, str(config))
    assert main(["data", str(config)]) == 1
    assert (
        capsys.readouterr().err.splitlines()[-1]
        == f"{config} is not a zip file: give the archive that tiny_pets is made from."
    )


def test_the_command_prints_nothing_of_tensorflows(tmp_path):
    archive = tmp_path / "cats.zip"
    archive.write_text("not a zip file")
    command = [Path(sys.executable).with_name("graftline"), "data", archive, "-d", "cats_vs_dogs"]
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    environment["GRAFTLINE_DATA__DATA_DIR"] = str(tmp_path)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "Data: cats_vs_dogs (as given)",
        f"{archive} is not a zip file: give the archive that cats_vs_dogs is made from.",
    ]


def test_the_command_prepares_the_set_of_the_configuration(tmp_path, pets, monkeypatch, capsys):
    config = tmp_path / "tiny.yaml"
    config.write_text(f"name: tiny\ndata: {{dataset: tiny_pets, data_dir: {tmp_path}}}\ngate: {{min_accuracy: 0.5}}\n")
    monkeypatch.setenv(CONFIG_VARIABLE, str(config))
    assert main(["data", str(pets)]) == 0
    assert "Prepared 3 examples" in capsys.readouterr().out
