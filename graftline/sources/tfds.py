"""A set of TensorFlow Datasets as a dataset, by its name. TFDS takes seconds to import, so functions import it."""

import difflib
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graftline.artifacts.examples import TRAIN
from graftline.base.errors import UserError, short
from graftline.base.paths import TFDS_PREFIX
from graftline.base.photos import LATEST
from graftline.base.raw_image import RawImage
from graftline.sources.holdings import split_named
from graftline.sources.source import Reading, Wanted

if TYPE_CHECKING:
    import tensorflow_datasets


@dataclass(frozen=True)
class Tfds:
    """A set of TFDS.

    Attributes:
      name: such as `mnist`, `mnist:3.0.1` or `food101`.
      wanted: how it is to be read; the only span is `latest`.
    """

    name: str
    wanted: Wanted

    @property
    def title(self) -> str:
        """Its title in lists of runs."""
        return self.name

    @property
    def schema_name(self) -> str:
        """The name of its schema: the set's name, without configuration and version."""
        return re.split("[/:]", self.name)[0]

    def check(self, here: bool) -> None:
        """Raises ValueError if a span or a table of classes is given."""
        if self.wanted.span != LATEST:
            raise ValueError(f"is not a folder, so it has no span {self.wanted.span}; leave data.span at {LATEST}")
        if self.wanted.labels:
            raise ValueError(
                f"is not a folder and has classes of its own; leave data.labels = {self.wanted.labels} out"
            )

    def on_volume(self, mount: Path) -> str:
        """Returns the name, because pods prepare the set like any other machine."""
        return self.name

    def alone(self) -> tuple[str, str]:
        """Returns the name of the dataset, and that of its runs."""
        return self.name, self.schema_name

    def argument(self) -> str:
        """Returns the argument of `graftline run` for it, without a configuration."""
        return f"{TFDS_PREFIX}{self.name}"

    def fingerprint(self) -> str:
        """Returns a hash that changes when the prepared set does; prepares the set if needed."""
        builder = self.prepared()
        files = sorted(path for path in Path(builder.data_dir).rglob("*") if path.is_file())
        lines = [builder.info.full_name, *(f"{path.name}\0{path.stat().st_size}" for path in files)]
        return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()

    def images(self, limit: int | None) -> Reading:
        """Returns a reader of the encoded images of all splits."""
        import apache_beam as beam

        from graftline.artifacts import records

        tfds, builder = library(), self.prepared()
        image, label = image_and_label(builder)
        texts = (key for key, feature in builder.info.features.items() if isinstance(feature, tfds.features.Text))
        image_id = next((key for key in texts if key.endswith(("filename", "file_name"))), "tfds_id")
        wanted = {key: True for key in (image, label, image_id) if key in builder.info.features}
        read = tfds.beam.ReadFromTFDS(
            builder,
            split=_slices(builder, limit),
            decoders=tfds.decode.PartialDecoding(wanted, decoders={image: tfds.decode.SkipDecoding()}),
            read_config=tfds.ReadConfig(add_tfds_id=True, options=records.options()),
        )
        given = official_splits(builder.info.splits) if self.wanted.honoured else {}
        of_files = {file: split for name, split in given.items() for file in builder.info.splits[name].filenames}
        read |= beam.Map(_raw_image, image, label, image_id, of_files)
        return Reading(read, builder.info.features[label].names, tuple(dict.fromkeys(given.values())))

    def count(self) -> int | None:
        """Returns None: TFDS knows, but takes seconds to import."""
        return None

    def size(self) -> dict[str, Any]:
        """Returns how many images are prepared, their bytes, and the URLs of what is still to be downloaded."""
        builder = self.builder()
        if not builder.is_prepared():
            return {"images": 0, "bytes": 0, "urls": list(builder.url_infos or ()), "left_out": {}}
        images = sum(split.num_examples for split in builder.info.splits.values())
        return {"images": images, "bytes": builder.info.dataset_size, "urls": [], "left_out": {}}

    def prepare(self, archive: Path) -> None:
        """Prepares the set from a local copy of its archive."""
        from graftline.sources.archive import prepare

        prepare(self.builder(), archive)

    def builder(self) -> "tensorflow_datasets.core.DatasetBuilder":
        """Returns the builder of the set, prepared or not.

        Raises:
          UserError: if TFDS has no such set, configuration or version.
        """
        tfds = library()
        try:
            return tfds.builder(self.name, data_dir=str(self.wanted.data_dir))
        except tfds.core.DatasetNotFoundError:
            raise UserError(f"TFDS has no dataset {self.name!r}: {_close_names(self.name)}.") from None
        except (ValueError, AssertionError) as error:
            reason = str(error).rpartition('}": ')[2]  # before it, TFDS repeats its arguments
            raise UserError(f"TFDS cannot build {self.name!r} ({short(reason)}): correct data.dataset.") from error

    def prepared(self) -> "tensorflow_datasets.core.DatasetBuilder":
        """Returns the builder of the set, after downloading and preparing it if necessary.

        Raises:
          UserError: if there is no such set, if its images have no labels, or if it cannot be downloaded.
        """
        builder = self.builder()
        image_and_label(builder)  # checks it before a long download, not after it
        if builder.is_prepared():
            return builder
        from graftline.sources import preparation

        try:
            preparation.prepare(builder)
        # A download may fail with anything that its library, the network or the set's own code raises.
        except Exception as error:
            # Before the cause, the download library lists what it tried.
            reason = re.sub(r".*\(Caused by (.*)\)$", r"\1", str(error), flags=re.DOTALL) or error
            raise UserError(f"{self.name} could not be prepared ({short(reason)}): {_cure(builder)}.") from error
        return builder


def library() -> Any:
    """Returns TFDS, with this project's own sets registered."""
    import tensorflow_datasets

    import graftline.sources.digits  # noqa: F401  importing registers the set

    return tensorflow_datasets


def image_and_label(builder: "tensorflow_datasets.core.DatasetBuilder") -> tuple[str, str]:
    """Returns the names of the features with a set's image and its class.

    Args:
      builder: any set's builder.

    Raises:
      UserError: if the set does not consist of images with one label each.
    """
    features = library().features
    match builder.info.supervised_keys:
        case (str(image), str(label)):
            image_feature, label_feature = builder.info.features[image], builder.info.features[label]
            labelled = isinstance(label_feature, features.ClassLabel) and label_feature.num_classes
            if labelled and isinstance(image_feature, features.Image):
                return image, label
    raise UserError(f"{builder.name} is not a set of images with one class each: choose an image classification set.")


def _close_names(dataset: str) -> str:
    name = dataset.partition(":")[0].partition("/")[0]
    close = difflib.get_close_matches(name, library().list_builders(), n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(close)}" if close else "choose one from its catalogue"
    return f"{hint}, or give folder:<path>"


def _cure(builder: "tensorflow_datasets.core.DatasetBuilder") -> str:
    if len(builder.url_infos or ()) == 1:  # which graftline/sources/archive.py can use
        return "run `graftline data <zip>` to prepare it from a local copy"
    return "try again on a machine that can reach its downloads"


def official_splits(splits: Iterable[str]) -> dict[str, str]:
    """Returns Graftline's split for each split of a set; empty if the set has only training splits, or none.

    Splits other than test and validation are trained on, as more of the same.

    Args:
      splits: names of the set's splits.
    """
    named = {name: split_named(name) or TRAIN for name in splits}
    found = set(named.values())
    return named if TRAIN in found and len(found) > 1 else {}


def _slices(builder: "tensorflow_datasets.core.DatasetBuilder", limit: int | None) -> str:
    """Returns TFDS's name for `limit` examples: the first of each split, in proportion to its size."""
    splits, slices, before = builder.info.splits, [], 0
    total = sum(split.num_examples for split in splits.values())
    limit = total if limit is None else min(limit, total)
    for name, split in splits.items():
        until = before + split.num_examples
        take = limit * until // total - limit * before // total
        slices += [f"{name}[:{take}]"] if take else []
        before = until
    return "+".join(slices)


def _raw_image(example: dict[str, Any], image: str, label: str, image_id: str, of_files: dict[str, str]) -> RawImage:
    """Returns an image; its split follows from the TFDS file that contains it."""
    split = of_files.get(example["tfds_id"].numpy().decode().rpartition("__")[0], "")
    return RawImage(example[image].numpy(), int(example[label]), example[image_id].numpy(), split=split)
