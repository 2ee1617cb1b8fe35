"""What a report says, not how it looks: `facts` and `gather` fill it in, `card` and `page` show it.

Accuracies, probabilities and rates are fractions in [0, 1], times are in seconds and sizes in bytes, unless a name says
otherwise.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from graftline.artifacts.findings import Finding
from graftline.artifacts.forms import ClassScore, Export
from graftline.artifacts.metrics import BY_KEY
from graftline.artifacts.verdict import Rule


@dataclass(frozen=True)
class CrossValidated:
    """How often heads on the frozen backbone are right about images of all splits that they did not learn from."""

    images: int  # one per series
    accuracy: float
    interval: tuple[float, float]  # 95 %


@dataclass(frozen=True)
class Verdict:
    """Whether the candidate may be pushed, and what it was compared with."""

    blessed: bool
    servable: bool
    outcome: str  # the Evaluator's, in one line
    reasons: list[str]  # why not, one sentence each
    notes: list[str]  # what to know about the comparison, one sentence each
    rules: list[Rule]  # the Evaluator's and ServingCheck's
    accuracy: float
    accuracy_interval: tuple[float, float]  # 95 %
    cross_validated: CrossValidated | None  # only for small datasets
    baseline_accuracy: float | None  # of the model in production, on the classes that both know
    difference: float | None  # candidate minus baseline, on the same examples
    difference_interval: tuple[float, float] | None  # 95 %, candidate minus baseline, paired on the same examples
    push_to: str  # the serving directory
    in_production: str | None  # folder of the version that the candidate was compared with


@dataclass(frozen=True)
class Phase:
    """Learning curves of one phase, one value per epoch."""

    number: int
    accuracy: list[float]
    val_accuracy: list[float]
    loss: list[float]
    val_loss: list[float]
    weights_of: str  # the epoch whose weights it kept; those of the last phase are exported
    validation_accuracy: float
    test_accuracy: float


@dataclass(frozen=True)
class Slice:
    """Accuracy on a part of the test split."""

    group: str  # "class", "image size" or "brightness"
    name: str
    examples: int
    accuracy: float
    interval: tuple[float, float]  # 95 %


@dataclass(frozen=True)
class Calibration:
    """How well probabilities match accuracy, with and without the model's temperature (C. Guo et al., 2017)."""

    confidence: list[float]  # mean confidence of each bin that has examples
    accuracy: list[float]  # of the same bins
    examples: list[int]
    temperature: float | None  # divides the logits; fitted on the validation split; None for none
    ece: float  # expected calibration error
    ece_without: float
    log_loss: float
    log_loss_without: float


@dataclass(frozen=True)
class Curve:
    """A curve of one class against all others."""

    name: str
    x: list[float]
    y: list[float]
    area: float


@dataclass(frozen=True)
class Scores:
    """What was measured on the answers to the test split, image by image and class by class."""

    classes: list[str]
    confusion: list[list[int]]  # rows are true classes, columns predicted ones
    scores: list[ClassScore]
    calibration: Calibration
    measured: dict[str, float]  # of `metrics.OVERALL`, by key
    macro_accuracy: float  # mean of the recalls of all classes
    examples: int

    @property
    def overall(self) -> str:
        """What was measured on all images, for people."""
        told = [f"{BY_KEY[key].title} {BY_KEY[key].shown(value)}" for key, value in self.measured.items()]
        return ", ".join([*told, f"macro accuracy {self.macro_accuracy:.4f}"])


@dataclass(frozen=True)
class Numbers(Scores):
    """Everything measured on the test split: what TFMA measured, and what follows from the answers."""

    roc: list[Curve]
    precision_recall: list[Curve]
    slices: list[Slice]


@dataclass(frozen=True)
class GalleryImage:
    """An image to look at, and why."""

    image: bytes  # still encoded
    image_id: str
    split: str
    label: str
    predicted: str
    confidence: float  # of the prediction
    note: str = ""


@dataclass(frozen=True)
class Learnt:
    """How often heads that learned from so many images are right about others."""

    images: int
    accuracy: float
    interval: tuple[float, float]  # 95 %


@dataclass(frozen=True)
class ClassAdvice:
    """What more photos of a class may gain."""

    name: str
    images: int  # one per series
    recall: float  # of heads that learned from all photos except those that they are tested on
    gain: float  # that recall minus the recall of heads that learned from half of them


@dataclass(frozen=True)
class Advice:
    """What would improve a model with few photos."""

    learnt: list[Learnt]  # from a quarter, half, three quarters and all of the photos
    classes: list[ClassAdvice]  # first those where more photos would help most

    @property
    def gain(self) -> float:
        """What the second half of the photos gained."""
        return self.learnt[-1].accuracy - self.learnt[1].accuracy


@dataclass(frozen=True)
class Gallery:
    """Images of one kind, the most telling first."""

    key: str  # "mistakes", "uncertain", "label_errors" or "near_duplicates"
    title: str
    why: str  # one sentence: how they were found and what to do about them
    images: list[GalleryImage]
    total: int  # of which `images` are the first


@dataclass(frozen=True)
class Counts:
    """How much there was to train and test on."""

    counts: dict[str, dict[str, int]]  # examples by split and class
    left_out: dict[str, int]  # images by reason
    copies: int
    contradictions: int
    leaked: int
    unmeasured: int  # test images that are left out because they look like a training image
    held_out: int
    faults: list[str]  # one line for each problem that would have stopped the run
    accepted: str | None  # who accepted those, when and why; None if there are none


@dataclass(frozen=True)
class Data(Counts):
    """What the model was trained and tested on."""

    widths: np.ndarray  # int [n], pixels; of a sample if there are many
    heights: np.ndarray
    size_classes: list[str]  # class of each of these images
    drift: list[str]  # one line for each feature unlike that of the model in production; may be empty
    drift_against: str | None  # what the data was compared with; None if there was nothing


@dataclass(frozen=True)
class Step:
    """One execution that led to this model."""

    name: str
    seconds: float
    peak_bytes: int
    cached: bool
    inputs: list[str]  # names of the steps whose outputs it read


@dataclass(frozen=True)
class Facts:
    """Enough to reproduce the run."""

    name: str
    dataset: str
    when: str  # ISO time in UTC
    command: str
    revision: str
    settings: dict[str, Any]
    versions: dict[str, str]  # of Python and the libraries
    weights_source: str
    weights_sha256: str
    data_fingerprint: str
    steps: list[Step]
    serving: dict[str, Any]  # what ServingCheck measured; empty if it could not
    parameters: int  # of the whole network; 0 if unknown
    known: dict[
        str, float
    ]  # `images` to compare with, and the `least` likeness to one of them that makes an image known


@dataclass(frozen=True)
class Card:
    """What goes with a model: plain facts, nothing plotted or guessed."""

    verdict: Verdict
    phases: list[Phase]
    numbers: Scores
    data: Counts
    facts: Facts
    exports: list[Export]


@dataclass(frozen=True)
class Report(Card):
    """The whole report."""

    numbers: Numbers
    data: Data
    galleries: list[Gallery]
    advice: Advice | None  # only for small datasets
    findings: list[Finding]
