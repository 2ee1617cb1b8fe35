"""The command that classifies photos: what it prints, what it skips, and how it ends."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from graftline.base.errors import UserError
from graftline.base.paths import PROJECT
from graftline.cli.predict import _listed, predict
from graftline.data.heic import readable
from tests import tiny


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.export(tmp_path_factory.mktemp("exported"), ["cat", "dog"])


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with 70 photos at two depths, more than two batches, and a file that is not a photo."""
    (tmp_path / "photos/deep").mkdir(parents=True)
    for number in range(70):
        path = tmp_path / "photos" / ("deep" if number % 2 else "") / f"{number:02}.jpg"
        path.write_bytes(tiny.photo(number % 5))
    (tmp_path / "photos/notes.txt").write_text("no image")
    return tmp_path / "photos"


def run(model: Path, *arguments: object) -> int:
    """Does what `graftline predict --model MODEL ARGUMENT …` does, but raises errors."""
    given = ["--data", "digits", "--model", str(model), *map(str, arguments)]
    status: int = predict.main(given, standalone_mode=False)
    return status


def test_a_folder_gives_a_line_for_each_image(model, photos, capsys):
    assert run(model, photos) == 0
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out), "excel-tab"))
    assert [row[0] for row in rows] == sorted(map(str, photos.rglob("*.jpg")))
    assert {row[1] for row in rows} <= {"cat", "dog"}
    assert all(0.5 <= float(row[2]) <= 1 for row in rows)


def test_heic_is_answered_as_the_jpeg_that_it_is_trained_as(model, photos, capsys):
    (photos / "phone.HEIC").write_bytes(tiny.heic(1))
    (photos / "phone.jpg").write_bytes(readable(tiny.heic(1), 10_000))
    (photos / "cut.heic").write_bytes(tiny.heic(1)[:300])
    (photos / ".thumbnails").mkdir()
    (photos / ".thumbnails/1.jpg").write_bytes(tiny.photo(1))
    assert run(model, photos) == 3
    printed = capsys.readouterr()
    rows = {Path(row[0]).name: row[1:] for row in csv.reader(io.StringIO(printed.out), "excel-tab")}
    assert len(rows) == 72
    assert rows["phone.HEIC"] == rows["phone.jpg"]
    assert printed.err.endswith(f"{photos}/cut.heic: truncated or corrupt\n")


def test_a_model_may_be_in_a_folder_whose_name_holds_signs_of_patterns(model, photos, tmp_path):
    copied = tmp_path / "models [2024]*?"
    shutil.copytree(model, copied)
    assert run(copied, photos / "00.jpg") == 0


def test_json_has_what_serving_answers(model, photos, capsys):
    paths = [photos / "00.jpg", photos / "02.jpg", photos / "04.jpg"]
    assert run(model, *paths, "--json", "--batch-size", 2) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["path"] for line in lines] == list(map(str, paths))
    serving = tf.saved_model.load(str(model))
    images = tf.constant([path.read_bytes() for path in paths])
    served = serving.signatures["serving_bytes"](image_bytes=images)
    found = [[line["probabilities"][name] for name in ("cat", "dog")] for line in lines]
    np.testing.assert_allclose(found, served["probabilities"], atol=1e-4)
    assert [line["label"] for line in lines] == [name.decode() for name in served["label_name"].numpy()]


def test_an_unreadable_file_is_reported_and_skipped(model, photos, capsys):
    (photos / "cut.jpg").write_bytes(tiny.photo(3)[:-300])
    assert run(model, photos, photos / "gone.jpg") == 3
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == 70
    assert printed.err.splitlines() == [
        "Data: digits (as given)",
        f"{photos}/cut.jpg: truncated or corrupt",
        f"{photos}/gone.jpg: file cannot be read (No such file or directory)",
    ]


def test_paths_are_read_from_standard_input(model, photos, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{photos}/00.jpg\n\n{photos}/02.jpg\n"))
    assert run(model, "-", "--csv") == 0
    header, *rows = csv.reader(io.StringIO(capsys.readouterr().out))
    assert header == ["path", "label", "probability", "known"]
    assert [row[0] for row in rows] == [f"{photos}/00.jpg", f"{photos}/02.jpg"]


@pytest.mark.parametrize("listed", ["{0}\r\n{1}\r\n", "{0}\0{1}\0", "{0}\0\0{1}", "{0}\n\n{1}"])
def test_lists_of_paths_may_be_of_find_or_of_windows(listed):
    names = ["a b.jpg", " c.jpg"]
    assert [str(path) for path in _listed(io.StringIO(listed.format(*names)))] == names


def test_a_path_that_ends_with_nul_may_hold_a_line_end():
    assert [str(path) for path in _listed(io.StringIO("a.jpg\0b\nc.jpg\0"))] == ["a.jpg", "b\nc.jpg"]


def test_a_file_is_written_whole_or_left_as_it_was(model, photos, tmp_path):
    output = tmp_path / "found.csv"
    assert run(model, photos, "--csv", "--top", 2, "--output", output) == 0
    before = output.read_text()
    assert len(before.splitlines()) == 71
    with pytest.raises(UserError, match="No image was classified, and 1 were skipped"):
        run(model, photos / "notes.txt", "--output", output)
    assert output.read_text() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["found.csv", "photos"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["{photos}", "{photos}"], "There is no model in .*photos: give the folder of a SavedModel"),
        (["{model}", "{empty}"], "There is no image in .*empty: give images"),
        (["{model}", "{photos}", "--output", "{empty}/no/file"], r"no/file cannot be written \(No such file"),
    ],
)
def test_mistakes_are_told(model, photos, tmp_path, arguments, told):
    (tmp_path / "empty").mkdir()
    places = {"model": model, "photos": photos, "empty": tmp_path / "empty"}
    with pytest.raises(UserError, match=told):
        run(*(argument.format(**places) for argument in arguments))


def test_production_is_the_highest_version_of_the_configuration(model, photos, tmp_path):
    shutil.copytree(model, tmp_path / "serving/digits/10")
    (tmp_path / "serving/digits/9").mkdir()
    (photos / "cut.jpg").write_bytes(b"GIF")
    done = started(tmp_path, "-d", "digits", str(photos))
    assert done.returncode == 3, done.stderr
    assert len(done.stdout.splitlines()) == 70
    assert f"{photos}/cut.jpg: " in done.stderr
    assert "Traceback" not in done.stderr


def test_without_a_model_it_ends_before_tensorflow_is_imported(photos, tmp_path):
    done = started(tmp_path, "-d", "digits", str(photos), python=["-X", "importtime"])
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"There is no model in {tmp_path}/serving/digits: ")
    assert "tensorflow" not in done.stderr


def started(root: Path, *arguments: str, python: list[str] | None = None) -> subprocess.CompletedProcess:
    """Runs the program as a user would, with its own serving directory."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("GRAFTLINE_")}
    return subprocess.run(
        [sys.executable, *(python or []), "-m", "graftline.cli", "predict", *arguments],
        env=clean | {"GRAFTLINE_RUN__SERVING_DIR": str(root / "serving")},
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
