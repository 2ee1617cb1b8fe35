"""Settings of the network and of its training."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from graftline.base.errors import did_you_mean
from graftline.base.paths import absolute
from graftline.settings.backbones import BACKBONES, LAYERS
from graftline.settings.section import Section, listed

Rates = Annotated[tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]], BeforeValidator(listed)]


OWN: Any = None  # the backbone's own
PLAIN, MIRRORED = "plain", "mirrored"  # versions of an image


class Model(Section):
    """The network: a pretrained backbone and a new head."""

    backbone: str = "MobileNetV2"
    """Network by its name in `keras.applications`, one of those in `graftline/settings/backbones.py`."""
    weights: str = "imagenet"
    """`imagenet`, `none` for random ones, or the path of an .h5 file; relative to the project."""
    image_size: Annotated[int, Field(ge=32, le=1024)] = OWN
    """Height and width in pixels that images are resized to; unset takes the backbone's own, 160 of MobileNetV2."""
    resize: Literal["bilinear", "antialias"] = "bilinear"
    """How: `bilinear` takes four pixels for each, as the tutorial; `antialias` all, and decodes large JPEGs shrunk."""
    fine_tune_at: str = OWN
    """Name of the first layer that phase 2 trains; unset takes the backbone's own, `block_11_expand_BN` of MobileNetV2."""
    batch_norm: Literal["frozen", "train"] = "frozen"
    """Whether phase 2 leaves the moving statistics of batch normalization as they are."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Part of the features that is dropped before the head in training."""

    @model_validator(mode="before")
    @classmethod
    def _backbones_own(cls, values: Any) -> Any:
        """Fills in what is unset, so that everybody else sees values."""
        if not isinstance(values, dict):
            return values  # refused later
        default = BACKBONES[cls.model_fields["backbone"].default]
        name = str(values.get("backbone", default.name))
        backbone = BACKBONES.get(name, default)  # one that is not known is refused later
        own = {key: getattr(backbone, key) for key in ("image_size", "fine_tune_at")}
        return own | {key: value for key, value in values.items() if value is not None or key not in own}

    @field_validator("backbone")
    @classmethod
    def _backbone_is_known(cls, name: str) -> str:
        if name not in BACKBONES:
            cure = f"{did_you_mean(name, list(BACKBONES))} (another is added in graftline/settings/backbones.py)"
            raise ValueError(f"no such backbone; {cure}")
        if name not in LAYERS:
            raise ValueError(
                f"its layers are not listed yet; run `.venv/bin/python -m graftline.network.layers {name}`"
            )
        return name

    @field_validator("fine_tune_at")
    @classmethod
    def _layer_exists(cls, layer: str, info: ValidationInfo) -> str:
        backbone = info.data.get("backbone")
        if backbone:
            BACKBONES[backbone].check_layer(layer)
        return layer

    @field_validator("weights")
    @classmethod
    def _weights_exist(cls, weights: str) -> str:
        if weights in ("imagenet", "none"):
            return weights
        path = absolute(Path(weights))
        if not path.is_file():
            raise ValueError(f"there is no file {path}; give an .h5 file of weights, or imagenet, or none")
        return str(path)


class Prefix(Section):
    """How the frozen part of the network is run, once for each image, and how its output is kept."""

    engine: Literal["auto", "tensorflow", "openvino"] = "auto"
    """What runs the frozen part; `auto` takes OpenVINO on CPUs and TensorFlow on GPUs."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Arithmetic of the frozen part; `auto` takes float32, in which the accuracy is a little higher."""
    cache_dtype: Literal["float16", "float32"] = "float16"
    """Type that its output is kept in on disk."""


SOLVER = "lbfgs"  # the optimizer that solves the head


class Phase(Section):
    """One phase of training."""

    epochs: Annotated[int, Field(ge=0)] = 10
    """Passes over the training split, at most; 0 leaves the phase out."""
    steps: Annotated[int, Field(ge=1)] | None = None
    """Batches after which the phase ends, rounded to whole passes; unset takes all `epochs`."""
    optimizer: Literal["adam", "rmsprop", "sgd"] = "adam"
    """By its name in Keras."""
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    """At the start of the phase."""
    schedule: Literal["constant", "cosine"] = "constant"
    """Whether the rate stays, or falls to nought along a cosine."""

    def passes(self, steps: int) -> int:
        """Returns the number of passes over the training split.

        Args:
          steps: batches of a pass.
        """
        return self.epochs if self.steps is None else min(self.epochs, max(round(self.steps / steps), 1))


class Head(Phase):
    """Phase 1, which may solve the head instead of stepping towards the solution."""

    optimizer: Literal["adam", "rmsprop", "sgd", "lbfgs"] = "adam"  # type: ignore[assignment]
    """By its name in Keras; `lbfgs` solves the head, of up to 50,000 versions of images, and takes `adam` for more."""


class Training(Section):
    """Phase 1 trains the head on the frozen base, phase 2 also the layers from `model.fine_tune_at` on."""

    batch_size: Annotated[int, Field(ge=1)] = 32
    """Images per step."""
    seed: Annotated[int, Field(ge=0)] = 42
    """Of the order of images, of augmentation and of the head's first weights."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Part of a label's probability that is spread over the other classes."""
    class_weights: Literal["none", "balanced"] = "none"
    """`balanced` lets all classes count alike, however many images each has; `none` all images."""
    augmentation: Literal["none", "flip", "crops"] = "none"
    """`flip` shows images mirrored, too; `crops` also random parts of them, lighter and darker."""
    crops: Annotated[int, Field(ge=1, le=100)] = 8
    """How many random parts of each image `crops` shows; features are computed and kept of each."""
    mixed_precision: Literal["auto", "off"] = "auto"
    """`auto` multiplies in bfloat16 on processors that have it and on GPUs from Ampere on, in float16 on older GPUs."""
    checkpoint_minutes: Annotated[float, Field(gt=0)] = 5
    """Minutes between two checkpoints: what an interruption can cost."""
    export: Literal["best", "settled", "last"] = "best"
    """Which epoch becomes the model: the `best` by validation accuracy, then loss; `settled`: of those that phases end with
    the one of the lowest validation loss; or the `last`."""
    patience: Annotated[int, Field(ge=1)] | None = None
    """Epochs without a better one after which a phase ends early; unset trains all of them."""
    temperature: bool = True
    """Whether the model divides logits by a temperature, fitted on validation, so that probabilities are what they say."""
    phase_1: Head = Head()
    """The head alone, on the frozen base."""
    phase_2: Phase = Phase(learning_rate=1e-4)
    """The head and the layers from `model.fine_tune_at` on."""

    @property
    def views(self) -> tuple[str, ...]:
        """The names of the versions of a training image whose features are kept, the image as it is first."""
        crops = tuple(f"crop_{number}" for number in range(1, self.crops + 1))
        return {"none": (PLAIN,), "flip": (PLAIN, MIRRORED), "crops": (PLAIN, MIRRORED, *crops)}[self.augmentation]


class Tuning(Section):
    """A search for learning rates and for the layer to fine-tune from; what it finds comes before what is set for them."""

    trials: Annotated[int, Field(ge=0)] = 0
    """How many learning rates of the head are tried, and how many fine-tunings; 0 leaves this part of the pipeline out."""
    head_rates: Rates = (1e-4, 1e-1)
    """Lowest and highest learning rate that is tried for phase 1."""
    fine_tuning_rates: Rates | None = None
    """Lowest and highest learning rate that is tried for phase 2; unset keeps the one that is set for it."""
    boundaries: Annotated[tuple[str, ...], BeforeValidator(listed)] = ()
    """Layers that are tried as `model.fine_tune_at`; none keeps the one that is set."""
    epochs: Annotated[int, Field(ge=1)] = 3
    """Passes over the training split in each trial."""

    @field_validator("head_rates", "fine_tuning_rates")
    @classmethod
    def _are_a_range(cls, rates: Rates | None) -> Rates | None:
        if rates and rates[0] >= rates[1]:
            raise ValueError("is not a range; give the lowest and the highest rate, such as [1.0e-5, 1.0e-3]")
        return rates
