"""A folder straight from a phone: every readable file is read, and the summary accounts for all others."""

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import ExifTags, Image

from components.duplicates.search import find, see
from components.example_gen.splits import digest_of, split_of
from graftline.artifacts.examples import GIVEN, LEFT_OUT, LEFT_OUT_FILE, SKIPPED, SPLITS, TEST, TRAIN, VALIDATION
from graftline.base.errors import UserError
from graftline.base.photos import DANGLING
from graftline.data.decoding import TOO_LARGE
from graftline.data.heic import readable
from graftline.runs import store, summary
from graftline.settings.data import Data, Splits
from graftline.sources.holdings import BESIDE
from tests.components.example_gen.test_component import execute, jpeg, read
from tests.past import Made, settings_of, write
from tests.tiny import heic

MAX_PIXELS = 1_000_000


def turned(seed: int) -> bytes:
    """Returns a JPEG whose EXIF says that it is on its side."""
    exif, stream = Image.Exif(), io.BytesIO()
    exif[ExifTags.Base.Orientation] = 6
    pixels = np.random.default_rng(seed).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(stream, "JPEG", exif=exif)
    return stream.getvalue()


def panorama() -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (20_000, 100)).save(stream, "JPEG")
    return stream.getvalue()


@pytest.fixture
def phone(tmp_path: Path) -> Path:
    """Two classes with upright and turned photos, HEIC, a burst, and the extra files of a phone, a NAS and an archive."""
    folder = tmp_path / "DCIM"
    for start, name in ((0, "garden"), (100, "sea")):
        for number in range(start, start + 20):
            for suffix, data in {"jpg": jpeg(number), "JPG": turned(number), "HEIC": heic(number)}.items():
                place(folder, f"{name}/IMG_{number}{suffix}.{suffix}", data)
        for number in range(3):
            place(folder, f"{name}/burst/IMG_{number}.jpg", jpeg(start))
        for extra in (
            "IMG_1.MOV",
            "IMG_1.AAE",
            "README",
            ".DS_Store",
            "Thumbs.db",
            "@eaDir/1.jpg",
            ".trash/deep/2.jpg",
        ):
            place(folder, f"{name}/{extra}", b"x")
        place(folder, f"{name}/panorama.jpg", panorama())
        place(folder, f"{name}/empty.heic", b"")
    place(folder, "notes.txt", b"x")
    place(folder, "__MACOSX/sea/._1.jpg", b"x")
    (folder / "sea/album").symlink_to(tmp_path / "unplugged")
    return folder


def place(folder: Path, name: str, data: bytes) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


def told(examples, tmp_path: Path, capsys) -> str:
    """Returns what the summary says about examples."""
    settings = settings_of(tmp_path / "run")
    names = ("counts", LEFT_OUT, SKIPPED, GIVEN)
    noted = {name: examples.get_string_custom_property(name) for name in names}
    write(settings, "a", Made("TfdsExampleGen", {"examples": noted}, uri=examples.uri))
    capsys.readouterr()
    with store.opened(settings) as opened:
        summary._show_files(store.nodes(opened, "a"))
    return capsys.readouterr().out.replace("\n", " ")


def written(examples, split: str) -> Iterator[bytes]:
    yield from tf.data.TFRecordDataset(list(map(str, Path(examples.uri).glob(f"Split-{split}/*")))).as_numpy_iterator()


def test_the_summary_accounts_for_every_file(phone, tmp_path, capsys):
    data = Data(dataset=f"folder:{phone}", max_bad_images=0.1, max_pixels=MAX_PIXELS)
    examples = execute(data, tmp_path / "out")
    left_out = json.loads(examples.get_string_custom_property(LEFT_OUT))
    assert left_out == {".mov": 2, ".aae": 2, "no suffix": 2, TOO_LARGE: 2, "empty file": 2, DANGLING: 1}
    skipped = json.loads(examples.get_string_custom_property(SKIPPED))
    assert skipped == {"in hidden folders": 5, "hidden or system files": 4, BESIDE: 1}
    used = sum(len(read(examples, split)) for split in SPLITS)
    everything = [path for path in phone.rglob("*") if path.is_symlink() or not path.is_dir()]
    assert used == 2 * (3 * 20 + 3)
    assert used + sum(left_out.values()) + sum(skipped.values()) == len(everything)
    lines = told(examples, tmp_path, capsys)
    numbers = [int(number) for number in re.findall(r"(\d+) (?:train|validation|test|files)", lines)]
    assert sum(numbers) == len(everything)
    assert "2 .aae, 2 .mov, 2 no suffix" in lines and "5 in hidden folders" in lines


def test_heic_is_kept_as_jpeg_in_the_split_of_its_own_bytes(phone, tmp_path):
    examples = execute(Data(dataset=f"folder:{phone}", max_bad_images=0.1, max_pixels=MAX_PIXELS), tmp_path / "out")
    found = {one["image_id"].decode(): (split, one["image"]) for split in SPLITS for one in read(examples, split)}
    photos = {name: (phone / name).read_bytes() for name in found if name.endswith("HEIC")}
    assert len(photos) == 40
    for name, data in photos.items():
        assert found[name] == (split_of(digest_of(data), Splits()), readable(data, MAX_PIXELS))


def test_heic_of_a_small_class_is_lent_to_the_splits_that_have_none(phone, tmp_path):
    for seed in range(3):
        place(phone, f"moon/{seed}.heic", heic(200 + seed))
    examples = execute(Data(dataset=f"folder:{phone}", max_bad_images=0.1, max_pixels=MAX_PIXELS), tmp_path / "out")
    moons = {split: sum(one["label_name"] == b"moon" for one in read(examples, split)) for split in SPLITS}
    assert moons == {TRAIN: 1, VALIDATION: 1, TEST: 1}


def test_kinds_that_are_not_read_stop_a_run_where_they_are_many(phone, tmp_path):
    for number in range(200):
        place(phone, f"sea/raw/{number}.cr2", b"x")
    with pytest.raises(
        UserError, match=r"^211 of 337 files .*\(200 times\): \.cr2, such as 'sea/raw/0\.cr2', .*convert"
    ):
        execute(Data(dataset=f"folder:{phone}", max_bad_images=0.1, max_pixels=MAX_PIXELS), tmp_path / "out")
    assert len(Path(tmp_path / "out", LEFT_OUT_FILE).read_text().splitlines()) == 211


def test_given_splits_are_kept_and_what_is_missing_is_drawn_from_training(tmp_path, capsys):
    for number in range(60):
        for name in ("cat", "dog"):
            place(tmp_path / "pets", f"train/{name}/{name}{number}.jpg", jpeg(number + 1000 * (name == "dog")))
    for number in (0, 500):  # the first is a training image, too
        place(tmp_path / "pets", f"test/cat/{number}.jpg", jpeg(number))
    place(tmp_path / "pets", "test/dog/501.jpg", jpeg(501))
    for number in range(3):
        place(tmp_path / "pets", f"train/emu/{number}.jpg", jpeg(number + 2000))
    examples = execute(Data(dataset=f"folder:{tmp_path}/pets"), tmp_path / "out")
    assert "The dataset's own splits are kept: train, test; validation is drawn" in capsys.readouterr().out
    found = {split: {one["image_id"].decode() for one in read(examples, split)} for split in SPLITS}
    assert found[TEST] == {"test/cat/0.jpg", "test/cat/500.jpg", "test/dog/501.jpg"}
    assert not [name for name in found[TRAIN] | found[VALIDATION] if name.startswith("test")]
    assert 5 <= len(found[VALIDATION]) <= 25 and "train/cat/cat0.jpg" in found[TRAIN] | found[VALIDATION]
    records = [(record, split) for split in SPLITS for record in written(examples, split)]
    assert find([see(record, split) for record, split in records]).leaked_ids == ["test/cat/0.jpg"]
    assert {"emu"} <= {name.split("/")[1] for name in found[VALIDATION]}
    merged = execute(Data(dataset=f"folder:{tmp_path}/pets", given_splits="merge"), tmp_path / "merged")
    assert len(read(merged, TEST)) > 3
    assert merged.get_string_custom_property(GIVEN) == ""


def test_a_table_gives_the_classes_of_a_flat_folder(tmp_path):
    rows = ["file,label"]
    for number in range(60):
        place(
            tmp_path / "flat",
            f"{number}.heic" if number % 2 else f"{number}.jpg",
            heic(number) if number % 2 else jpeg(number),
        )
        rows.append(f"{number},{'odd' if number % 2 else 'even'}")
    (tmp_path / "labels.csv").write_text("\r\n".join([*rows, "gone,odd"]))
    data = Data(dataset=f"folder:{tmp_path}/flat", labels=tmp_path / "labels.csv", max_bad_images=0.02)
    examples = execute(data, tmp_path / "out")
    found = [(one["image_id"], one["label_name"]) for split in SPLITS for one in read(examples, split)]
    assert len(found) == 60
    assert all((name == b"odd") == path.endswith(b"heic") for path, name in found)
    assert json.loads(examples.get_string_custom_property(LEFT_OUT)) == {"in the table, but not in the folder": 1}
