"""What a report says, apart from how it looks: filled by `facts` and `gather`, shown by `card` and `page`.

Accuracies, probabilities and rates are fractions in [0, 1], times are seconds, sizes are bytes unless a name says otherwise.
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
    """How often heads on the frozen base are right about images that they have not learnt from, of all splits."""

    images: int  # one of each series
    accuracy: float
    interval: tuple[float, float]  # 95 %


@dataclass(frozen=True)
class Verdict:
    """Whether the candidate may go out, and against what it was held."""

    blessed: bool
    servable: bool
    outcome: str  # of the Evaluator, in a line
    reasons: list[str]  # why not, a sentence each
    notes: list[str]  # what to know about the comparison, a sentence each
    rules: list[Rule]  # of the Evaluator and of ServingCheck
    accuracy: float
    accuracy_interval: tuple[float, float]  # 95 %
    cross_validated: CrossValidated | None  # of small sets
    baseline_accuracy: float | None  # of the model in production, on the classes that both know
    difference: float | None  # candidate minus baseline, on the same examples
    difference_interval: tuple[float, float] | None  # 95 %, candidate minus baseline, paired on the same examples
    push_to: str  # the serving directory
    in_production: str | None  # folder of the version that the candidate was held against


@dataclass(frozen=True)
class Phase:
    """Learning curves of one phase, a value an epoch."""

    number: int
    accuracy: list[float]
    val_accuracy: list[float]
    loss: list[float]
    val_loss: list[float]
    weights_of: str  # the epoch whose weights it left; those that the last phase left are exported
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
    """How far probabilities are what they say, with the model's temperature and without it (C. Guo et al., 2017)."""

    confidence: list[float]  # mean confidence of each bin that has examples
    accuracy: list[float]  # of the same bins
    examples: list[int]
    temperature: float | None  # that the model divides logits by, fitted on the validation split; None for none
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
    """What was measured of the answers to the test split, image by image and class by class."""

    classes: list[str]
    confusion: list[list[int]]  # rows are true classes, columns predicted ones
    scores: list[ClassScore]
    calibration: Calibration
    measured: dict[str, float]  # of `metrics.OVERALL`, by key
    macro_accuracy: float  # mean of the recalls of all classes
    examples: int

    @property
    def overall(self) -> str:
        """What was measured of all images, for people."""
        told = [f"{BY_KEY[key].title} {BY_KEY[key].shown(value)}" for key, value in self.measured.items()]
        return ", ".join([*told, f"macro accuracy {self.macro_accuracy:.4f}"])


@dataclass(frozen=True)
class Numbers(Scores):
    """Everything measured on the test split; what TFMA measured, and what follows from the answers."""

    roc: list[Curve]
    precision_recall: list[Curve]
    slices: list[Slice]


@dataclass(frozen=True)
class GalleryImage:
    """An image to look at, with why."""

    image: bytes  # as it was encoded
    image_id: str
    split: str
    label: str
    predicted: str
    confidence: float  # of the prediction
    note: str = ""


@dataclass(frozen=True)
class Learnt:
    """How often heads that learnt from so many images are right about others."""

    images: int
    accuracy: float
    interval: tuple[float, float]  # 95 %


@dataclass(frozen=True)
class ClassAdvice:
    """What more photos of a class may give."""

    name: str
    images: int  # one of each series
    recall: float  # of heads that learnt from all photos but those that they are asked
    gain: float  # by how much that is above the recall of heads that learnt from half of them


@dataclass(frozen=True)
class Advice:
    """What would make a model of few photos better."""

    learnt: list[Learnt]  # from a quarter, half, three quarters and all of the photos
    classes: list[ClassAdvice]  # those first of which more photos would help most

    @property
    def gain(self) -> float:
        """What the second half of the photos has given."""
        return self.learnt[-1].accuracy - self.learnt[1].accuracy


@dataclass(frozen=True)
class Gallery:
    """Images of one kind, the most telling first."""

    key: str  # "mistakes", "uncertain", "label_errors" or "near_duplicates"
    title: str
    why: str  # one sentence: how they were found and what to do about it
    images: list[GalleryImage]
    total: int  # of which these are the first


@dataclass(frozen=True)
class Counts:
    """How much there was to train and to test on."""

    counts: dict[str, dict[str, int]]  # examples by split and class
    left_out: dict[str, int]  # images by reason
    copies: int
    contradictions: int
    leaked: int
    unmeasured: int  # of test, because they look like one of training
    held_out: int
    faults: list[str]  # a line for each thing that would have stopped the run
    accepted: str | None  # who accepted those, when and why; None where there are none


@dataclass(frozen=True)
class Data(Counts):
    """What was trained and tested on."""

    widths: np.ndarray  # int [n], pixels; of a sample where there are many
    heights: np.ndarray
    size_classes: list[str]  # class of each of these
    drift: list[str]  # a line for each feature that is unlike that of the model in production; may be empty
    drift_against: str | None  # what it was held against; None where there was nothing


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
    """Enough to do it again."""

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
    serving: dict[str, Any]  # what ServingCheck measured; empty where it could not
    parameters: int  # of the whole network; 0 where unknown
    known: dict[str, float]  # `images` that an image is held against, `least` likeness to one of them of a known one


@dataclass(frozen=True)
class Card:
    """What goes with a model: plain facts, of which nothing is drawn or guessed."""

    verdict: Verdict
    phases: list[Phase]
    numbers: Scores
    data: Counts
    facts: Facts
    exports: list[Export]


@dataclass(frozen=True)
class Report(Card):
    """All of it."""

    numbers: Numbers
    data: Data
    galleries: list[Gallery]
    advice: Advice | None  # of small sets
    findings: list[Finding]
