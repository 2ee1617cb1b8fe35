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
PLAIN, MIRRORED = "plain", "mirrored"  # views of an image


class Model(Section):
    """The network: a pretrained backbone and a new head."""

    backbone: str = "MobileNetV2"
    """Name of the network in `keras.applications`, one of those in `graftline/settings/backbones.py`."""
    weights: str = "imagenet"
    """`imagenet`, `none` for random weights, or the path of an .h5 file, relative to the project."""
    image_size: Annotated[int, Field(ge=32, le=1024)] = OWN
    """Height and width in pixels to resize images to; if unset, the backbone's own, 160 for MobileNetV2."""
    resize: Literal["bilinear", "antialias"] = "bilinear"
    """`bilinear` computes a pixel from four, as the tutorial does; `antialias` from all, and decodes large JPEGs smaller."""
    fine_tune_at: str = OWN
    """First layer that phase 2 trains; if unset, the backbone's own, `block_11_expand_BN` for MobileNetV2."""
    batch_norm: Literal["frozen", "train"] = "frozen"
    """Whether phase 2 keeps the moving statistics of batch normalization or updates them."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Fraction of the features that training drops before the head."""

    @model_validator(mode="before")
    @classmethod
    def _backbones_own(cls, values: Any) -> Any:
        """Fills in what is unset, so that all other code sees values."""
        if not isinstance(values, dict):
            return values  # refused later
        default = BACKBONES[cls.model_fields["backbone"].default]
        name = str(values.get("backbone", default.name))
        backbone = BACKBONES.get(name, default)  # an unknown name is refused later
        own = {key: getattr(backbone, key) for key in ("image_size", "fine_tune_at")}
        return own | {key: value for key, value in values.items() if value is not None or key not in own}

    @field_validator("backbone")
    @classmethod
    def _backbone_is_known(cls, name: str) -> str:
        if name not in BACKBONES:
            cure = f"{did_you_mean(name, list(BACKBONES))} (to add one, edit graftline/settings/backbones.py)"
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
    """How the frozen part of the network runs, once per image, and how its output is kept."""

    engine: Literal["auto", "tensorflow", "openvino"] = "auto"
    """What runs the frozen part; `auto` uses OpenVINO on CPUs and TensorFlow on GPUs."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Arithmetic of the frozen part; `auto` is float32, which gives a slightly higher accuracy."""
    cache_dtype: Literal["float16", "float32"] = "float16"
    """Type of its output on disk."""


SOLVER = "lbfgs"  # the optimizer that solves the head


class Phase(Section):
    """One phase of training."""

    epochs: Annotated[int, Field(ge=0)] = 10
    """Most passes over the training split; 0 leaves the phase out."""
    steps: Annotated[int, Field(ge=1)] | None = None
    """Batches after which the phase ends, rounded to whole passes; if unset, it runs all `epochs`."""
    optimizer: Literal["adam", "rmsprop", "sgd"] = "adam"
    """Name of the optimizer in Keras."""
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    """Learning rate at the start of the phase."""
    schedule: Literal["constant", "cosine", "restarts"] = "constant"
    """Whether the learning rate stays, falls to zero along a cosine, or does so in each epoch, halved each time."""

    def passes(self, steps: int) -> int:
        """Returns the number of passes over the training split.

        Args:
          steps: batches per pass.
        """
        return self.epochs if self.steps is None else min(self.epochs, max(round(self.steps / steps), 1))


class Head(Phase):
    """Phase 1, which can solve the head directly instead of approaching the solution in steps."""

    optimizer: Literal["adam", "rmsprop", "sgd", "lbfgs"] = "adam"  # type: ignore[assignment]
    """Name of the optimizer in Keras; `lbfgs` solves the head, and uses `adam` for more than 50,000 views of images."""


class Training(Section):
    """Phase 1 trains the head on the frozen backbone; phase 2 also trains the layers from `model.fine_tune_at` on."""

    batch_size: Annotated[int, Field(ge=1)] = 32
    """Images per step."""
    seed: Annotated[int, Field(ge=0)] = 42
    """Seed for the order of images, the augmentation and the head's initial weights."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Fraction of a label's probability that is spread over the other classes."""
    class_weights: Literal["none", "balanced"] = "none"
    """`balanced` gives every class the same weight, however many images it has; `none` gives every image the same."""
    augmentation: Literal["none", "flip", "crops"] = "none"
    """`flip` adds mirrored images; `crops` adds these, and random crops, lighter and darker."""
    crops: Annotated[int, Field(ge=1, le=100)] = 8
    """Number of random crops per image with `crops`; features are computed and cached for each."""
    mixed_precision: Literal["auto", "off"] = "auto"
    """`auto` multiplies in bfloat16 on CPUs that have it and on GPUs from Ampere on, and in float16 on older GPUs."""
    checkpoint_minutes: Annotated[float, Field(gt=0)] = 5
    """Minutes between two checkpoints: the most that an interruption can cost."""
    export: Literal["best", "settled", "last"] = "best"
    """Epoch to export: `best` by validation accuracy, then loss; `settled` by loss, among the phases' last; or `last`."""
    patience: Annotated[int, Field(ge=1)] | None = None
    """Epochs without improvement after which a phase ends early; if unset, it runs all of them."""
    temperature: bool = True
    """Whether the model divides logits by a temperature, fitted on validation, so that probabilities are calibrated."""
    phase_1: Head = Head()
    """Only the head, on the frozen backbone."""
    phase_2: Phase = Phase(learning_rate=1e-4)
    """The head and the layers from `model.fine_tune_at` on."""

    @property
    def views(self) -> tuple[str, ...]:
        """The names of the views of a training image, the unchanged image first."""
        crops = tuple(f"crop_{number}" for number in range(1, self.crops + 1))
        return {"none": (PLAIN,), "flip": (PLAIN, MIRRORED), "crops": (PLAIN, MIRRORED, *crops)}[self.augmentation]


class Tuning(Section):
    """A search for learning rates and for the layer to fine-tune from. What it finds overrides these settings."""

    trials: Annotated[int, Field(ge=0)] = 0
    """How many learning rates of the head to try, and how many fine-tunings; with 0, the pipeline leaves this part out."""
    head_rates: Rates = (1e-4, 1e-1)
    """Lowest and highest learning rate to try for phase 1, unless that solves the head."""
    fine_tuning_rates: Rates | None = None
    """Lowest and highest learning rate to try for phase 2; if unset, `training.phase_2.learning_rate` stays."""
    boundaries: Annotated[tuple[str, ...], BeforeValidator(listed)] = ()
    """Layers to try as `model.fine_tune_at`; if unset, that setting stays."""
    epochs: Annotated[int, Field(ge=1)] = 3
    """Passes over the training split in each trial."""

    @property
    def searches_fine_tuning(self) -> bool:
        """Whether there is more to search for than the learning rate of the head."""
        return bool(self.boundaries or self.fine_tuning_rates)

    @field_validator("head_rates", "fine_tuning_rates")
    @classmethod
    def _are_a_range(cls, rates: Rates | None) -> Rates | None:
        if rates and rates[0] >= rates[1]:
            raise ValueError("is not a range; give the lowest and the highest rate, such as [1.0e-5, 1.0e-3]")
        return rates
