"""Duplicates finds copies, contradictions, and look-alikes in two splits, and nothing else."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageFilter
from tfx.types import standard_artifacts
from tfx.utils import json_utils

from components.duplicates import images
from components.duplicates.component import Duplicates
from components.duplicates.near import NEAR
from components.duplicates.search import find, see
from graftline.artifacts import duplicates
from graftline.artifacts.duplicates import DuplicatesReport
from graftline.artifacts.examples import IMAGE, IMAGE_ID, LABEL, LABEL_NAME, SPLITS
from tests.exif import block


def photo(seed: int) -> Image.Image:
    """Returns soft blobs, 200 x 150, whose perceptual hash is as random as a photo's."""
    noise = np.random.default_rng(seed).integers(0, 256, (15, 20, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((200, 150), Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(4))


def encode(image: Image.Image, kind: str = "JPEG", **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def record(image: bytes, name: bytes, label: int = 0) -> bytes:
    values = {IMAGE: image, IMAGE_ID: name, LABEL_NAME: b"dog" if label else b"cat"}
    feature = {key: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value])) for key, value in values.items()}
    feature[LABEL] = tf.train.Feature(int64_list=tf.train.Int64List(value=[label]))
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


@pytest.fixture
def examples(tmp_path):
    """Writes records to the splits of an artifact."""

    def write(**splits: list[bytes]) -> standard_artifacts.Examples:
        artifact = standard_artifacts.Examples()
        artifact.uri, artifact.split_names = str(tmp_path / "examples"), json_utils.dumps(list(SPLITS))
        for split in SPLITS:
            folder = tmp_path / "examples" / f"Split-{split}"
            folder.mkdir(parents=True)
            with tf.io.TFRecordWriter(str(folder / "data")) as writer:
                for item in splits.get(split, []):
                    writer.write(item)
        return artifact

    return write


def report_of(examples: standard_artifacts.Examples, folder) -> duplicates.Report:
    report = DuplicatesReport()
    report.uri = str(folder)
    Duplicates.EXECUTOR_SPEC.executor_class().Do({"examples": [examples]}, {"report": [report]}, {})
    return duplicates.read(str(folder))


def test_different_images_are_no_duplicates():
    seen = [see(record(encode(photo(i)), b"%d" % i), SPLITS[i % 3]) for i in range(60)]
    report = find(seen)
    assert (report.images, report.held_out) == (60, 40)
    assert (report.copies, report.contradictions, report.leaked) == (0, [], 0)


def test_more_images_than_are_held_at_once_are_found_as_if_they_were(monkeypatch):
    seen = [see(record(encode(photo(i % 7)), b"%d" % i, label=i % 2), SPLITS[3 * i // 20]) for i in range(20)]
    seen += [see(record(b"no image", b"x%d" % i), "test") for i in range(3)]
    together = find(iter(seen))
    monkeypatch.setattr(images, "AT_ONCE", 3)
    assert find(iter(seen)) == together
    assert (together.copies, together.images) == (13 + 2, 23)
    assert [("test", 6), ("test", 7), ("test", 8)] in together.series


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_photo_on_its_side_looks_like_its_upright_copy(kind):
    upright = encode(photo(0), kind)
    turned = encode(photo(0).transpose(Image.Transpose.ROTATE_90), kind, exif=block(6))
    one, other = (see(record(image, b"a"), "train").looks for image in (upright, turned))
    assert (one ^ other).bit_count() <= NEAR


def test_exact_copies_are_counted_and_named():
    seen = [see(record(encode(photo(i // 3)), b"%d.jpg" % i), "train") for i in range(9)]
    report = find(seen)
    assert report.copies == 6
    assert report.copied[0] == ["0.jpg", "1.jpg", "2.jpg"]


def test_the_same_bytes_under_two_labels_are_named_with_them():
    seen = [see(record(encode(photo(0)), b"%d.jpg" % i, label=i), "train") for i in range(2)]
    assert find(seen).contradictions == [{"0.jpg": "cat", "1.jpg": "dog"}]


@pytest.mark.parametrize(
    "change",
    [
        lambda image: encode(image, quality=40),
        lambda image: encode(image.resize((120, 90))),
        lambda image: encode(image, "PNG"),
        lambda image: encode(image.point(lambda value: min(255, value + 12))),
    ],
    ids=["recompressed", "resized", "another format", "brighter"],
)
def test_a_copy_that_only_looks_the_same_is_found_across_splits(change):
    seen = [see(record(encode(photo(i), quality=95), b"%d.jpg" % i), "train") for i in range(20)]
    seen += [see(record(change(photo(i)), b"copy of %d" % i), "test") for i in range(10)]
    report = find(seen)
    assert (report.copies, report.leaked) == (0, 10)
    assert report.alike[0] == {"test": "copy of 0", "train": "0.jpg"}


def test_a_copy_in_the_same_split_is_no_leak():
    seen = [see(record(encode(photo(0), quality=quality), b"%d" % quality), "train") for quality in (30, 90)]
    assert find(seen).leaked == 0


def test_test_images_that_look_like_one_of_training_are_named_and_no_others():
    seen = [see(record(encode(photo(0), quality=95), b"a"), "train"), see(record(encode(photo(0)), b"b"), "validation")]
    seen += [see(record(encode(photo(0), quality=40), b"c%d" % i), "test") for i in range(2)]
    seen += [see(record(encode(photo(1)), b"d"), "validation"), see(record(encode(photo(1), quality=40), b"e"), "test")]
    seen += [see(record(encode(photo(2)), b"f"), "test"), see(record(b"no image", b"g"), "test")]
    found = find(seen)
    assert found.leaked_ids == ["c0", "c1"]
    assert found.leaked == 5, "one that only looks like a validation image is reported, but measured"


def test_copies_and_look_alikes_are_a_series_by_their_places():
    seen = [see(record(encode(photo(i)), b"%d" % i), "train") for i in (0, 1, 2)]
    seen += [see(record(b"no image", b"x"), "train"), see(record(encode(photo(2), quality=40), b"a"), "validation")]
    seen += [see(record(encode(photo(0)), b"b"), "test"), see(record(b"no image", b"y"), "test")]
    seen += [see(record(encode(photo(2), quality=60), b"c"), "test")]
    assert sorted(find(seen).series) == [
        [("train", 0), ("test", 0)],
        [("train", 2), ("validation", 0), ("test", 2)],
        [("train", 3), ("test", 1)],
    ]


def test_names_and_images_of_any_kind_are_survived(examples, tmp_path):
    train = [record(encode(photo(i)), b"line\nbreak \xff %d" % i) for i in range(2)]
    found = report_of(examples(train=[*train, record(b"no image", b"x")], test=[train[0]]), tmp_path)
    assert (found.images, found.copies, found.held_out) == (4, 1, 1)
    assert found.copied == [["line\nbreak \\xff 0", "line\nbreak \\xff 0"]]
