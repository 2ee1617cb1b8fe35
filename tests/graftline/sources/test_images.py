"""Images of a folder or a TFDS set are read and checked with TensorFlow's decoder."""

import io
import os
import struct
import zipfile
import zlib

import apache_beam as beam
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from apache_beam.testing.util import assert_that, equal_to
from PIL import Image

from graftline.base.errors import UserError
from graftline.base.photos import DANGLING, LOOP
from graftline.base.raw_image import UNREADABLE, RawImage
from graftline.data import images
from graftline.data.decoding import CORRUPT, EMPTY, NOT_AN_IMAGE, TOO_LARGE, Size
from graftline.data.images import NO_LABEL
from graftline.settings.data import Data
from graftline.sources.tfds import official_splits

RUNNER = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"
PIXELS = np.random.default_rng(0).integers(0, 256, (24, 20, 4), dtype=np.uint8)


def encode(image: Image.Image, kind: str, **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


RGB = Image.fromarray(PIXELS[..., :3])
JPEG = encode(RGB, "JPEG")
GOOD = {
    "grey": encode(RGB.convert("L"), "PNG"),
    "palette": encode(RGB.convert("P"), "PNG"),
    "rgba": encode(Image.fromarray(PIXELS), "PNG"),
    "cmyk": encode(RGB.convert("CMYK"), "JPEG"),
    "16_bit": encode(Image.fromarray(PIXELS[..., 0].astype(np.uint16) * 257), "PNG"),
    "animated": encode(RGB, "GIF", save_all=True, append_images=[Image.new("RGB", RGB.size)]),
    "webp": encode(RGB, "WEBP"),
    "bmp": encode(RGB, "BMP"),
    "bmp_rgba": encode(Image.fromarray(PIXELS), "BMP"),
}


def zipped() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("photo.jpg", JPEG)
    return stream.getvalue()


MAX_PIXELS = 10_000


def bomb() -> bytes:
    """Returns a PNG of some hundred bytes whose header claims 60,000 x 60,000 pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    png = encode(RGB, "PNG")
    return png[:12] + header + struct.pack(">I", zlib.crc32(header)) + png[33:]


class MixedPets(tfds.core.GeneratorBasedBuilder):
    """Two splits, with file names, a feature that is not used here, and an image without a label."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {
            "photo": tfds.features.Image(),
            "photo/filename": tfds.features.Text(),
            "caption": tfds.features.Text(),
            "species": tfds.features.ClassLabel(names=["cat", "dog"]),
        }
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(features), supervised_keys=("photo", "species")
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples("train", 5), "test": self._generate_examples("test", 3)}

    def _generate_examples(self, split, count):
        for i in range(count):
            label = -1 if split == "test" and i == 0 else i % 2
            example = {"photo": io.BytesIO(JPEG), "photo/filename": f"{split}/{i}.jpg", "caption": "a pet"}
            yield i, {**example, "species": label}


FOUND: list[RawImage] = []  # Beam pickles what a test's function encloses, but not a module's variables


def find(elements: list[RawImage]) -> None:
    FOUND[:] = elements


def read(data: Data) -> tuple[list[RawImage], list[str]]:
    reading = data.source.images(data.max_examples)
    with beam.Pipeline(runner=RUNNER) as pipeline:
        assert_that(pipeline | reading.images, find)
    return FOUND, reading.label_names


def examine(image: RawImage, max_pixels: int = MAX_PIXELS) -> Size | str:
    (found,) = images.examine_all([image], max_pixels)
    return found


@pytest.fixture
def folder(tmp_path):
    for i in range(40):
        path = tmp_path / "photos" / ("cat" if i % 2 else "dog") / "deep" / f"{i}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(JPEG + bytes([i]))
    return tmp_path / "photos"


@pytest.mark.parametrize("kind", GOOD)
def test_every_kind_of_image_decodes_to_3_channels(kind):
    assert examine(RawImage(GOOD[kind], 0, b"x"), 24 * 20) == (20, 24)
    decoded = tf.io.decode_image(GOOD[kind], channels=3, expand_animations=False)
    assert decoded.shape == (24, 20, 3)
    assert np.std(decoded) > 0  # of the animation, the second frame is black


@pytest.mark.parametrize(
    ("image", "label", "reason"),
    [
        (JPEG[: len(JPEG) // 2], 0, CORRUPT),
        (GOOD["rgba"][:-60], 0, CORRUPT),
        (b"", 0, EMPTY),
        (zipped(), 0, NOT_AN_IMAGE),
        (b"<html>404</html>", 0, NOT_AN_IMAGE),
        (encode(RGB, "WEBP", save_all=True, append_images=[Image.new("RGB", RGB.size)]), 0, NOT_AN_IMAGE),
        (encode(RGB, "TIFF"), 0, NOT_AN_IMAGE),
        (None, 0, UNREADABLE),
        (JPEG, -1, NO_LABEL),
        (bomb(), 0, TOO_LARGE),
        (encode(Image.new("RGB", (1, 20_000)), "PNG"), 0, TOO_LARGE),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 0, NOT_AN_IMAGE),
    ],
)
def test_what_cannot_be_used_has_a_short_reason(image, label, reason):
    assert examine(RawImage(image, label, b"x")) == reason


def test_several_images_get_what_each_gets_alone():
    every = [
        RawImage(image, label, b"x") for image in [*GOOD.values(), JPEG[:80], b"", None, bomb()] for label in (0, -1)
    ]
    alone = [examine(image) for image in every]
    assert images.examine_all(every, MAX_PIXELS) == alone
    good = [image for image, found in zip(every, alone, strict=True) if not isinstance(found, str)]
    assert images.examine_all(good, MAX_PIXELS) == [(20, 24)] * len(GOOD)
    assert images.examine_all([], MAX_PIXELS) == []


def test_a_folders_images_are_read_as_they_are_and_mixed(folder):
    found, label_names = read(Data(dataset=f"folder:{folder}"))
    assert label_names == ["cat", "dog"]
    assert all(image.image == (folder / image.image_id.decode()).read_bytes() for image in found)
    assert all(image.image_id.startswith(label_names[image.label].encode()) for image in found)
    assert len({image.label for image in found[:20]}) == 2


def test_the_first_images_of_a_folder_are_of_both_classes(folder):
    found, _ = read(Data(dataset=f"folder:{folder}", max_examples=10))
    assert len(found) == 10
    assert {image.label for image in found} == {0, 1}


def test_a_file_that_vanishes_is_left_out_not_fatal(folder):
    data = Data(dataset=f"folder:{folder}")
    source = data.source.images(data.max_examples).images
    (folder / "cat/deep/1.jpg").unlink()
    with beam.Pipeline(runner=RUNNER) as pipeline:
        found = pipeline | source | beam.Map(examine)
        assert_that(found, equal_to([UNREADABLE] + [(20, 24)] * 39))


def test_links_are_followed_wherever_they_lead_but_not_in_a_circle(folder, tmp_path):
    (tmp_path / "outside.jpg").write_bytes(JPEG)
    (folder / "cat/link.jpg").symlink_to(tmp_path / "outside.jpg")
    (folder / "cat/inside.jpg").symlink_to(folder / "dog/deep/0.jpg")
    (folder / "cat/gone.jpg").symlink_to(tmp_path / "gone.jpg")
    (folder / "dog/elsewhere").symlink_to(tmp_path)
    found, _ = read(Data(dataset=f"folder:{folder}"))
    told = {image.image_id: examine(image) for image in found}
    assert len(told) == 40 + 5
    assert {told[f"{name}.jpg".encode()] for name in ("cat/link", "cat/inside", "dog/elsewhere/outside")} == {(20, 24)}
    assert (told[b"cat/gone.jpg"], told[b"dog/elsewhere/photos"]) == (DANGLING, LOOP)


def test_names_with_newlines_or_invalid_utf_8_are_names_like_others(folder):
    names = [b"cat/two\nlines.jpg", b"cat/\xff\xfe.jpg", "cat/\u202egpj.png".encode()]
    for name in names:
        (folder / os.fsdecode(name)).write_bytes(JPEG)
    found, _ = read(Data(dataset=f"folder:{folder}"))
    assert {image.image_id for image in found} >= set(names)
    assert all(examine(image) == (20, 24) for image in found)


def test_all_splits_of_a_tfds_set_are_read_with_names_and_bytes(tmp_path):
    found, label_names = read(Data(dataset="mixed_pets", data_dir=tmp_path))
    assert label_names == ["cat", "dog"]
    names = [f"train/{i}.jpg" for i in range(5)] + [f"test/{i}.jpg" for i in range(3)]
    assert sorted(image.image_id.decode() for image in found) == sorted(names)
    assert {image.image for image in found} == {JPEG}
    assert {image.label for image in found if image.image_id == b"test/0.jpg"} == {-1}


def test_the_official_splits_of_a_tfds_set_are_kept_unless_they_are_merged(tmp_path):
    data = Data(dataset="mixed_pets", data_dir=tmp_path)
    assert data.source.images(None).given == ("train", "test")
    for image in read(data)[0]:
        assert image.image_id.decode().startswith(image.split) and image.split
    assert {image.split for image in read(Data(**data.model_dump() | {"given_splits": "merge"}))[0]} == {""}
    assert {image.split for image in read(Data(dataset="digits", data_dir=tmp_path, max_examples=9))[0]} == {""}


@pytest.mark.parametrize(
    ("splits", "official"),
    [
        (["train"], {}),
        (["test"], {}),
        (["train", "extra"], {}),
        (["train", "test", "extra"], {"train": "train", "test": "test", "extra": "train"}),
        (["train", "validation"], {"train": "train", "validation": "validation"}),
    ],
)
def test_what_is_neither_test_nor_validation_is_trained_on(splits, official):
    assert official_splits(splits) == official


@pytest.mark.parametrize("limit", [2, 4, 8])
def test_each_split_has_its_share_of_max_examples(limit, tmp_path):
    found, _ = read(Data(dataset="mixed_pets", data_dir=tmp_path, max_examples=limit))
    assert sum(image.split == "train" for image in found) == limit * 5 // 8


@pytest.mark.parametrize(("limit", "count"), [(3, 3), (5, 5), (7, 7), (99, 8)])
def test_max_examples_runs_over_all_splits(limit, count, tmp_path):
    assert len(read(Data(dataset="mixed_pets", data_dir=tmp_path, max_examples=limit))[0]) == count


def test_images_without_file_names_have_tfds_ids(tmp_path):
    [image], _ = read(Data(dataset="digits", data_dir=tmp_path, max_examples=1))
    assert image.image_id.startswith(b"digits-train.tfrecord-00000")


def test_a_set_that_cannot_be_had_is_the_users_error(tmp_path):
    with pytest.raises(UserError, match="did you mean digits"):
        Data(dataset="digit", data_dir=tmp_path).source.images(None)
