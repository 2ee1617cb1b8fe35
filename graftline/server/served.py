"""The model in production as it is served: one version at a time, and a newer one as soon as it is pushed."""

import asyncio
import functools
import logging
import math
import time
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf.json_format import MessageToDict
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis.get_model_metadata_pb2 import SignatureDefMap

from graftline.artifacts.examples import EXAMPLES
from graftline.base.errors import UserError
from graftline.data import decoding, heic
from graftline.server import rest
from graftline.server.batches import Batches
from graftline.server.computing import Computing, encoded_image
from graftline.server.rest import Question, RequestError
from graftline.serving import exported, versions

CHECK_SECONDS = 2.0  # between two looks for a new version
SIDE_BY_SIDE = 2  # batches: one is decoded while the network computes another


class Served:
    """One version of a model.

    Attributes:
      version: its number.
      label_names: class names in label order.
      signatures: its functions by name.
      metadata: what TensorFlow Serving reports about them.
    """

    def __init__(self, name: str, folder: Path, max_pixels: int, pool: Executor) -> None:
        """Opens a version and warms it up, so that no request has to wait for that.

        Args:
          name: the model's.
          folder: the version's.
          max_pixels: images whose header claims more are refused.
          pool: runs its computations.

        Raises:
          UserError: if it cannot be loaded.
        """
        self.version, self._max_pixels = int(folder.name), max_pixels
        opened = exported.load(folder)
        self.label_names, self.signatures = opened.label_names, opened.signatures
        self._compute = Computing(opened, max_pixels)
        self._batches = {
            name: Batches(functools.partial(self._answer, name), pool, SIDE_BY_SIDE) for name in self.signatures
        }
        self.metadata = _metadata(name, folder)
        blank = tf.io.encode_png(tf.zeros([8, 8, 3], tf.uint8)).numpy()
        for signature in ("serving_bytes", "serving_explain"):
            self._answer(signature, [blank])

    async def ask(self, question: Question) -> list[dict[str, np.ndarray]]:
        """Returns each row's outputs by name.

        Raises:
          RequestError: if one of them is not an image, or too large.
        """
        rows = [await self._checked(question.signature, row) for row in question.rows]
        return await asyncio.gather(*(self._batches[question.signature].ask(row) for row in rows))

    async def _checked(self, signature: str, row: Any) -> Any:
        """Returns a row that may be computed; an image in a form that TensorFlow reads."""
        image, reason = self._image(signature, row), None
        if isinstance(row, bytes) and heic.is_heic(row):
            image = row = await asyncio.to_thread(heic.readable, row, self._max_pixels)  # so that others need not wait
        if image is not None:
            reason = image if isinstance(image, str) else decoding.refused(image, self._max_pixels)
        if reason:
            raise RequestError(400, f"The image cannot be used: {reason}.")
        return row

    def _answer(self, signature: str, rows: list[Any]) -> list[dict[str, np.ndarray] | RequestError]:
        try:
            outputs = self._compute(signature, rows)
        except (tf.errors.OpError, UnicodeDecodeError):  # the second if TensorFlow's message quotes bytes of the row
            if len(rows) > 1:  # one of them is to blame: compute them one by one
                return [answer for row in rows for answer in self._answer(signature, [row])]
            return [RequestError(400, self._reason(signature, rows[0]))]
        return [{name: output[index] for name, output in outputs.items()} for index in range(len(rows))]

    def _reason(self, signature: str, row: Any) -> str:
        image = self._image(signature, row)
        found = decoding.examine(image, self._max_pixels) if image is not None else None
        if isinstance(found, str):
            return f"The image cannot be used: {found}."
        if image is None and rest.one_input(self.signatures[signature])[0] == EXAMPLES:
            return f"The signature {signature} takes serialized tf.Examples: give encoded images to serving_bytes."
        return f"The signature {signature} cannot take the values of this request."

    def _image(self, signature: str, row: Any) -> bytes | None:
        return encoded_image(rest.one_input(self.signatures[signature])[0], row)


def _metadata(name: str, folder: Path) -> dict[str, Any]:
    saved = saved_model_pb2.SavedModel.FromString((folder / versions.SAVED_MODEL).read_bytes())
    signatures = SignatureDefMap(signature_def=saved.meta_graphs[0].signature_def)
    return {
        "model_spec": {"name": name, "signature_name": "", "version": folder.name},
        "metadata": {
            "signature_def": MessageToDict(
                signatures, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
            )
        },
    }


class Production:
    """The highest version in a serving directory."""

    def __init__(self, name: str, directory: Path, max_pixels: int) -> None:
        """Opens the highest version; arguments as for `Served`, with the directory that holds the versions.

        Raises:
          UserError: if there is none, or it cannot be loaded.
        """
        self._pool = ThreadPoolExecutor(SIDE_BY_SIDE)
        self._open = functools.partial(Served, name, max_pixels=max_pixels, pool=self._pool)
        self._directory = directory
        self._served = self._open(versions.find(directory))
        self._next_check = time.monotonic() + CHECK_SECONDS

    async def current(self) -> Served:
        """Returns the served version; if there is a higher one, one of the callers waits until it is open."""
        if time.monotonic() >= self._next_check:
            self._next_check = math.inf  # so that no other caller looks at the same time
            try:
                await asyncio.to_thread(self._look)
            finally:
                self._next_check = time.monotonic() + CHECK_SECONDS
        return self._served

    def _look(self) -> None:
        try:
            folder = versions.find(self._directory)
            if int(folder.name) != self._served.version:
                self._served = self._open(folder)
        except UserError as error:  # the version that is open goes on answering
            logging.getLogger("absl").warning("Version %s is still served: %s", self._served.version, error)
