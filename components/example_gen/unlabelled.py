"""UnlabelledExampleGen: reads a folder of photos without labels into examples.

TensorFlow's decoder reads the images, as it does those of a dataset. Images that it cannot read, and files of other kinds,
are left out and listed in `left_out.jsonl`. The DAG has this node if `bulk.folder` is set.
"""

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import tensorflow as tf
from tfx.components.util import examples_utils
from tfx.dsl.component.experimental.annotations import OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.dsl.components.base.base_node import BaseNode
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils, standard_artifacts

from components.example_gen import driver
from graftline.artifacts.examples import IMAGE, IMAGE_ID, LEFT_OUT, LEFT_OUT_FILE, SKIPPED
from graftline.base.errors import UserError
from graftline.base.photos import files_fingerprint, image_files, walk
from graftline.base.raw_image import RawImage, read_file
from graftline.data.images import examined, readable

SPLIT = "unlabelled"


@component
def UnlabelledExampleGen(  # noqa: N802 (a component is named as a class)
    examples: OutputArtifact[standard_artifacts.Examples],
    folder: Parameter[str],
    max_pixels: Parameter[int],
) -> None:
    """Reads a folder of photos into examples, each with the encoded image and its path in the folder.

    Args:
      examples: one split.
      folder: where the photos are, at any depth.
      max_pixels: an image that claims more pixels is left out.

    Raises:
      UserError: if none of them can be read.
    """
    found = walk(Path(folder))
    others = {os.fsencode(path.relative_to(folder)): reason for path, reason in sorted(found.others.items())}
    left_out = [_left_out(name, reason) for name, reason in others.items()]
    split = Path(examples.uri, f"Split-{SPLIT}")
    split.mkdir(parents=True, exist_ok=True)  # it exists if a pod was killed and started again
    count = 0
    files = ((os.fsencode(path.relative_to(folder)), 0) for path in found.images)
    images = (readable(read_file(file, folder), max_pixels) for file in files)
    with tf.io.TFRecordWriter(str(split / "data_tfrecord")) as writer:
        for image, size in examined(images, max_pixels):
            if isinstance(size, str):
                left_out.append(_left_out(image.image_id, size))
            else:
                writer.write(_example(image))
                count += 1
    if not count:
        raise UserError(
            f"bulk.folder = {folder!r}: none of its {len(left_out):,} images can be read; give another folder."
        )
    Path(examples.uri, LEFT_OUT_FILE).write_text("".join(f"{json.dumps(line)}\n" for line in left_out))
    examples.split_names = artifact_utils.encode_split_names([SPLIT])
    examples_utils.set_payload_format(examples, example_gen_pb2.FORMAT_TF_EXAMPLE)
    reasons = Counter(line["reason"] for line in left_out)
    examples.set_string_custom_property(LEFT_OUT, json.dumps(reasons))
    examples.set_string_custom_property(SKIPPED, json.dumps(+found.skipped))


def unlabelled_example_gen(folder: Path, max_pixels: int) -> BaseNode:
    """Returns the node; arguments as for `UnlabelledExampleGen`."""
    return UnlabelledExampleGen(folder=str(folder), max_pixels=max_pixels)


def _left_out(name: bytes, reason: str) -> dict[str, str]:
    return {"id": name.decode(errors="backslashreplace"), "reason": reason}


def _example(image: RawImage) -> bytes:
    values = {IMAGE: image.image, IMAGE_ID: image.image_id}
    feature = {key: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value])) for key, value in values.items()}
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


class Driver(driver.Driver):
    """Puts the folder's fingerprint into the cache key."""

    def fingerprint(self, exec_properties: dict[str, Any]) -> str:
        """Returns a value that changes when an image does."""
        folder = Path(exec_properties["folder"])
        return files_fingerprint(folder, image_files(folder))


UnlabelledExampleGen.DRIVER_CLASS = Driver
