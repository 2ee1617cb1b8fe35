"""The 1,797 handwritten digits that come with scikit-learn, as a TFDS set; nothing is downloaded."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from sklearn.datasets import load_digits

FULL_SCALE = 255 / 16  # scikit-learn's pixels are 0 to 16


class Digits(tfds.core.GeneratorBasedBuilder):
    """Images of 8x8 gray pixels, in ten classes of about 180 each."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self) -> tfds.core.DatasetInfo:
        features = {"image": tfds.features.Image(shape=(8, 8, 1)), "label": tfds.features.ClassLabel(num_classes=10)}
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(features), supervised_keys=("image", "label")
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        del dl_manager  # the images come with scikit-learn
        return {"train": self._generate_examples()}

    def _generate_examples(self) -> Iterator[tuple[int, dict[str, Any]]]:
        digits = load_digits()
        images = np.rint(digits.images[..., np.newaxis] * FULL_SCALE).astype(np.uint8)
        for index, (image, label) in enumerate(zip(images, digits.target, strict=True)):
            yield index, {"image": image, "label": int(label)}
