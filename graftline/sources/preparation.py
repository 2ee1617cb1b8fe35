"""Downloads and prepares TFDS sets, and prints two lines about it instead of TFDS's many."""

import contextlib
import io
import time
from typing import Any

import tensorflow_datasets as tfds

from graftline.base import console


def prepare(builder: tfds.core.DatasetBuilder, whence: object = None, **options: Any) -> None:
    """Downloads and prepares a set; on a terminal TFDS shows its progress bars.

    Args:
      builder: the set's.
      whence: the local archive that it is made from, if any.
      options: passed to `download_and_prepare`.

    Raises:
      Exception: whatever the download or the set's own code raises.
    """
    source = f" from {whence}" if whence else ""
    size = f" (download: {builder.info.download_size})" if builder.info.download_size and not whence else ""
    console.line(f"Preparing {builder.info.full_name}{source} in {builder.data_dir}{size} …")
    start = time.monotonic()
    if not console.OUT.is_terminal:
        tfds.disable_progress_bar()
    # TFDS prints sizes even if it does not know them
    with contextlib.redirect_stdout(io.StringIO()):
        builder.download_and_prepare(download_config=tfds.download.DownloadConfig(try_download_gcs=False), **options)
    examples = builder.info.splits.total_num_examples
    console.line(f"Prepared {examples:,} examples in {time.monotonic() - start:.0f} s.")
