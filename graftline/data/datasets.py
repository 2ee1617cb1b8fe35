"""Finds, prepares and fingerprints a dataset: a TFDS set by name, or a folder of photos.

Nothing here imports TFX: `graftline/data/archive.py` needs a set's builder, and is told from the command line.
"""

import difflib
import hashlib
import re
import textwrap
from collections.abc import Iterable
from pathlib import Path

import tensorflow_datasets as tfds

import graftline.data.digits  # noqa: F401  importing registers the set with TFDS
from graftline.base.errors import UserError
from graftline.base.photos import class_folders, image_files
from graftline.settings.data import Data


def find_builder(data: Data) -> tfds.core.DatasetBuilder:
    """Returns the builder of a TFDS set, prepared or not.

    Args:
      data: settings whose dataset is a TFDS name, such as `mnist` or `mnist:3.0.1`.

    Raises:
      UserError: where TFDS knows no such set, configuration or version.
    """
    try:
        return tfds.builder(data.dataset, data_dir=str(data.data_dir))
    except tfds.core.DatasetNotFoundError:
        raise UserError(f"TFDS has no dataset {data.dataset!r}: {_close_names(data.dataset)}.") from None
    except (ValueError, AssertionError) as error:
        reason = str(error).rpartition('}": ')[2]  # before it, TFDS tells what it was called with
        raise UserError(f"TFDS cannot build {data.dataset!r} ({short(reason)}): correct data.dataset.") from error


def _close_names(dataset: str) -> str:
    name = dataset.partition(":")[0].partition("/")[0]
    close = difflib.get_close_matches(name, tfds.list_builders(), n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(close)}" if close else "choose one of its catalogue"
    return f"{hint}, or give folder:<path>"


def short(error: BaseException | str) -> str:
    """Returns an error, or its message, as part of one sentence."""
    return textwrap.shorten(str(error) or type(error).__name__, 200, placeholder=" …").rstrip(".:")


def prepared_builder(data: Data) -> tfds.core.DatasetBuilder:
    """Returns the builder of a TFDS set, downloaded and prepared where it was not yet.

    Args:
      data: settings whose dataset is a TFDS name.

    Raises:
      UserError: where there is no such set, where it is not one of labelled images, or where it cannot be downloaded.
    """
    builder = find_builder(data)
    image_and_label(builder)  # before a long download, not after it
    if builder.is_prepared():
        return builder
    try:
        builder.download_and_prepare(download_config=tfds.download.DownloadConfig(try_download_gcs=False))
    # A download fails with whatever its library, the network or the set's own code raises.
    except Exception as error:
        # Before the cause, the download library tells what it tried.
        reason = re.sub(r".*\(Caused by (.*)\)$", r"\1", str(error), flags=re.DOTALL) or error
        raise UserError(f"{data.dataset} could not be prepared ({short(reason)}): {_cure(builder)}.") from error
    return builder


def _cure(builder: tfds.core.DatasetBuilder) -> str:
    if len(builder.url_infos or ()) == 1:  # what graftline/data/archive.py can do
        return "`make data ARCHIVE=<zip>` prepares it from a local copy"
    return "try again where its downloads can be reached"


def image_and_label(builder: tfds.core.DatasetBuilder) -> tuple[str, str]:
    """Returns the names of the features that hold a set's image and its class.

    Args:
      builder: any set's builder.

    Raises:
      UserError: where the set is not one of labelled images.
    """
    match builder.info.supervised_keys:
        case (str(image), str(label)):
            image_feature, label_feature = builder.info.features[image], builder.info.features[label]
            labelled = isinstance(label_feature, tfds.features.ClassLabel) and label_feature.num_classes
            if labelled and isinstance(image_feature, tfds.features.Image):
                return image, label
    raise UserError(f"{builder.name} is no set of images with one class each: choose an image classification set.")


def fingerprint(data: Data) -> str:
    """Returns what changes when the dataset does, and only then; prepares a TFDS set where needed.

    Args:
      data: settings of the data.

    Raises:
      UserError: where a TFDS set cannot be had.
    """
    if data.folder:
        return _folder_fingerprint(data.folder)
    builder = prepared_builder(data)
    files = sorted(path for path in Path(builder.data_dir).rglob("*") if path.is_file())
    return _digest([builder.info.full_name, *(f"{path.name}\0{path.stat().st_size}" for path in files)])


def _folder_fingerprint(folder: Path) -> str:
    return files_fingerprint(folder, [path for label in class_folders(folder) for path in image_files(label)])


def files_fingerprint(folder: Path, files: list[Path]) -> str:
    """Returns what changes when one of a folder's files does, by name, size and time."""
    stats = [(path.relative_to(folder), path.stat()) for path in files]
    return _digest(f"{path}\0{stat.st_size}\0{stat.st_mtime_ns}" for path, stat in stats)


def _digest(lines: Iterable[str]) -> str:
    text = "\n".join(lines)
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()
