"""Prepares a TFDS set from a local copy of the archive that TFDS would download: `graftline data <zip>`.

TFDS treats a file in its download folder as downloaded if it has the name that TFDS would give it and an `.INFO` file next
to it. The download folder is temporary, so that a wrong archive never passes for the real download later.
"""

import json
import tempfile
import zipfile
from pathlib import Path

import tensorflow_datasets as tfds
from tensorflow_datasets.core.download import resource

from graftline.base.errors import UserError, short
from graftline.sources import preparation


def prepare(builder: tfds.core.DatasetBuilder, archive: Path) -> None:
    """Prepares a TFDS set from a local archive, without a network; does nothing if it is already prepared.

    Args:
      builder: the set's builder.
      archive: the set's original archive, a zip file.

    Raises:
      UserError: if the archive is not a zip file or not this set's, or if the set is not made from a single archive.
    """
    if builder.is_prepared():
        print(f"{builder.info.full_name} is already prepared in {builder.data_dir}.")
        return
    url = _only_url(builder)
    if not zipfile.is_zipfile(archive):
        raise UserError(f"{archive} is not a zip file: give the archive that {builder.name} is made from.")
    _build(builder, url, archive)


def _only_url(builder: tfds.core.DatasetBuilder) -> str:
    urls = list(builder.url_infos or ())
    if len(urls) != 1:
        raise UserError(
            f"{builder.name} is made from {len(urls)} downloads, not from one archive: let the pipeline prepare it, with "
            "network access if it has downloads."
        )
    return urls[0]


def _build(builder: tfds.core.DatasetBuilder, url: str, archive: Path) -> None:
    data_dir = Path(builder.data_dir_root)
    data_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=data_dir, prefix=".archive-") as downloads:
        _place(Path(downloads, builder.name), url, builder.url_infos[url].checksum, archive)
        try:
            preparation.prepare(builder, archive, download_dir=downloads)
        # The set's own code reads the archive, and may raise anything if it is the wrong one.
        except Exception as error:
            cure = "give the set's original archive"
            raise UserError(f"{builder.name} cannot be made from {archive} ({short(error)}): {cure}.") from error


def _place(folder: Path, url: str, checksum: str, archive: Path) -> None:
    folder.mkdir()
    name = resource.get_dl_fname(url, checksum)
    (folder / name).symlink_to(archive.resolve())
    (folder / f"{name}.INFO").write_text(json.dumps({"urls": [url], "original_fname": archive.name}))
