"""A whole report as a run might write it, with malicious names of files and classes."""

import functools
from itertools import cycle, islice

import numpy as np
import tensorflow as tf
from sklearn import metrics

from components.report.content import (
    Advice,
    Calibration,
    ClassAdvice,
    CrossValidated,
    Curve,
    Data,
    Facts,
    Gallery,
    GalleryImage,
    Learnt,
    Numbers,
    Phase,
    Report,
    Slice,
    Step,
    Verdict,
)
from graftline.artifacts.forms import ClassScore, Export
from graftline.artifacts.metrics import ACCURACY, EXAMPLES, LOG_LOSS
from graftline.artifacts.verdict import POINTS, Rule

SCRIPT = "<script>alert(1)</script>"
TURNED = "photo\u202egpj.exe"  # the mark reverses the text after it
NAMES = ["cat", f"{SCRIPT} & $x_1$", "_an eel whose name is rather long, and longer than a line of a phone"]
FILES = [
    f"{SCRIPT}.jpg",
    f"{TURNED}.jpg",
    '"><img src=x onerror=alert(2)>.png',
    "a/" * 60 + "deep.jpg",
    "{{ 7 * 7 }}.jpg",
    "Katze, 猫, قطة.webp",
]
STEPS = {
    "ImportSchemaGen": (0.0, []),
    "TfdsExampleGen": (2.0, []),
    "Duplicates": (0.6, ["TfdsExampleGen"]),
    "StatisticsGen": (3.5, ["TfdsExampleGen", "ImportSchemaGen"]),
    "ExampleValidator": (0.1, ["StatisticsGen", "ImportSchemaGen"]),
    "DataGate": (0.0, ["TfdsExampleGen", "ExampleValidator", "Duplicates"]),
    "Transform": (0.2, ["DataGate", "ImportSchemaGen"]),
    "Trainer": (143.2, ["DataGate", "Transform", "ImportSchemaGen"]),
    "Evaluator": (5.1, ["DataGate", "Trainer"]),
    "ServingCheck": (8.1, ["DataGate", "Trainer"]),
}
SERVING = {"load_s": 1.4, "memory_gb": 1.72, "latency_ms": {"1": {"median": 8.0, "p99": 12.0}}}


def report(num_classes: int = 3, images: int = 6, examples: int = 300) -> Report:
    """Returns a report.

    Args:
      num_classes: two or more.
      images: of each gallery.
      examples: of the test split.
    """
    names = [*NAMES, *(f"class {number}" for number in range(len(NAMES), num_classes))][:num_classes]
    return Report(
        verdict=_verdict(),
        phases=_phases(),
        numbers=_numbers(names, examples),
        galleries=[
            Gallery("mistakes", "Confident mistakes", "Look for what they share.", _images(names, images), 37),
            Gallery("uncertain", "Least certain", "More like these.", _images(names, images, 50), examples),
            Gallery("label_errors", "Likely label errors", "Correct them.", _images(names, images, 99), 2_411),
            Gallery("near_duplicates", "Near-duplicates across splits", "Pairs of images that look alike.", [], 0),
        ],
        data=_data(names),
        facts=_facts(),
        exports=[
            Export("tflite_fp16", True, "", 4_600_000, 0.961, 3.2),
            Export("tflite_int8", False, "it has lost 4.1 points", 2_500_000, 0.9222, 2.1),
        ],
        advice=Advice(
            [
                Learnt(count, accuracy, (accuracy - 0.02, accuracy + 0.01))
                for count, accuracy in [(168, 0.88), (336, 0.92), (504, 0.94), (672, 0.951)]
            ],
            [ClassAdvice(name, 280 - number, 0.93 + 0.01 * number, 0.03) for number, name in enumerate(names)],
        ),
        findings=[],
    )


def _verdict() -> Verdict:
    return Verdict(
        blessed=False,
        servable=True,
        outcome="Not blessed: test accuracy above the model in production is -0.67 points, …",
        reasons=["test accuracy above the model in production is -0.67 points, but must be at least -0.50 points"],
        notes=["Compared with the model in production on the 2 classes that both know; others: 1 new (bird)."],
        rules=[
            Rule("test accuracy", 0.9633, 0.95, at_least=True),
            Rule("test accuracy above the model in production", -0.0067, -0.005, at_least=True, unit=POINTS),
            Rule("memory of a server", 1.72, 4.0, at_least=False, unit="GB"),
        ],
        accuracy=0.9633,
        accuracy_interval=(0.9354, 0.9794),
        cross_validated=CrossValidated(840, 0.951, (0.934, 0.964)),
        baseline_accuracy=0.97,
        difference=-0.0067,
        difference_interval=(-0.0211, 0.0077),
        push_to="output/serving/pets",
        in_production="output/serving/pets/1795539948",
    )


def _phases() -> list[Phase]:
    epochs = np.arange(10)
    rising = [(1 - 0.4 * np.exp(-epochs / 3) - 0.1).tolist(), (0.97 - 0.06 * np.exp(-epochs / 2)).tolist()]
    falling = [(0.9 * np.exp(-epochs / 4) + 0.3).tolist(), (0.25 * np.exp(-epochs / 3) + 0.1).tolist()]
    return [
        Phase(
            number=number,
            accuracy=accuracy,
            val_accuracy=[value + 0.011 for value in accuracy],
            loss=loss,
            val_loss=[0.9 * value for value in loss],
            weights_of=f"epoch 10 of phase {number}",
            validation_accuracy=accuracy[-1] + 0.011,
            test_accuracy=accuracy[-1],
        )
        for number, (accuracy, loss) in enumerate(zip(rising, falling, strict=True), 1)
    ]


def _numbers(names: list[str], examples: int) -> Numbers:
    random = np.random.default_rng(0)
    labels = np.arange(examples) % len(names)
    answers = random.dirichlet(np.full(len(names), 0.3), examples) * 0.9
    answers[np.arange(examples), labels] += random.uniform(0, 1.2, examples)
    answers /= answers.sum(axis=1, keepdims=True)
    confusion = metrics.confusion_matrix(labels, answers.argmax(axis=1), labels=range(len(names)))
    precision, recall, f1, support = metrics.precision_recall_fscore_support(
        labels, answers.argmax(axis=1), zero_division=0
    )
    return Numbers(
        classes=names,
        confusion=confusion.tolist(),
        scores=[
            ClassScore(name, int(count), float(p), float(r), float(f))
            for name, count, p, r, f in zip(names, support, precision, recall, f1, strict=True)
        ],
        roc=[_roc(name, labels == label, answers[:, label]) for label, name in enumerate(names)],
        precision_recall=[_precision(name, labels == label, answers[:, label]) for label, name in enumerate(names)],
        calibration=Calibration(
            [0.45, 0.62, 0.81, 0.99], [0.5, 0.55, 0.74, 0.98], [6, 21, 40, 233], 1.62, 0.009, 0.031, 0.1234, 0.1817
        ),
        slices=[
            *(
                Slice("class", name, int(count), float(share), (0.9 * float(share), (1 + float(share)) / 2))
                for name, count, share in zip(names, support, recall, strict=True)
            ),
            Slice("image size", "9,000 to 101,000 pixels", 100, 0.91, (0.84, 0.95)),
            Slice("image size", "101,001 to 187,500 pixels", 200, 0.985, (0.96, 0.995)),
            Slice("brightness", "12 to 90 of 255", 150, 0.953, (0.907, 0.977)),
        ],
        measured={EXAMPLES.key: examples, ACCURACY.key: 0.9633, LOG_LOSS.key: 0.1234},
        macro_accuracy=0.951,
        examples=examples,
    )


def _roc(name: str, is_class: np.ndarray, scores: np.ndarray) -> Curve:
    x, y, _ = metrics.roc_curve(is_class, scores)
    return Curve(name, x.tolist(), y.tolist(), float(metrics.auc(x, y)))


def _precision(name: str, is_class: np.ndarray, scores: np.ndarray) -> Curve:
    y, x, _ = metrics.precision_recall_curve(is_class, scores)
    return Curve(name, x.tolist(), y.tolist(), float(metrics.average_precision_score(is_class, scores)))


def _images(names: list[str], count: int, seed: int = 0) -> list[GalleryImage]:
    files = [name if not turn else f"{turn}/{name}" for turn in range(count) for name in FILES]
    return [
        GalleryImage(
            image=image(seed + number),
            image_id=name,
            split="test",
            label=names[number % len(names)],
            predicted=names[(number + 1) % len(names)] if number % 5 else "",
            confidence=0.99 - 0.01 * number if number % 5 else 0.0,
            note=f"{number / 100:.1%} for {names[number % len(names)]}",
        )
        for number, name in enumerate(islice(cycle(files), count))
    ]


@functools.cache
def image(seed: int) -> bytes:
    """Returns an encoded image of soft colors: tall, wide or tiny."""
    random = np.random.default_rng(seed)
    height, width = [(300, 220), (180, 320), (8, 8)][seed % 3]
    small = random.uniform(0, 255, (4, 4, 3))
    pixels = tf.image.resize(small, (height, width), "bicubic") + random.normal(0, 12, (height, width, 3))
    return tf.io.encode_jpeg(tf.cast(tf.clip_by_value(pixels, 0, 255), tf.uint8)).numpy()


def _data(names: list[str]) -> Data:
    random = np.random.default_rng(1)
    widths = random.choice([500, 375, 320, 499], 2_000) - random.integers(0, 40, 2_000)
    return Data(
        counts={
            split: {name: share + 7 * number for number, name in enumerate(names)}
            for split, share in {"train": 800, "validation": 100, "test": 100}.items()
        },
        widths=widths,
        heights=(widths * random.choice([0.75, 1.33], 2_000)).astype(int),
        size_classes=[names[number % len(names)] for number in range(2_000)],
        left_out={"empty file": 2, "truncated or corrupt": 1},
        copies=3,
        contradictions=1,
        leaked=18,
        unmeasured=7,
        held_out=328,
        drift=["label: the share of cat has grown by 0.21"],
        drift_against="the data of the model in production",
        faults=["30 of 100 images are copies"],
        accepted="accepted by me on 2026-11-27T12:00:00+00:00: a new camera",
    )


def _facts() -> Facts:
    return Facts(
        name="pets",
        dataset=f"folder:/home/me/{SCRIPT}",
        when="2026-11-24T12:00:00+00:00",
        command="GRAFTLINE_TRAINING__SEED=7 graftline run pets",
        revision="0123456789ab",
        settings={
            "name": "pets",
            "model": {"backbone": "MobileNetV2", "image_size": 160},
            "training": {"phase_1": {"epochs": 10, "learning_rate": 1e-4}, "augmentation": []},
            "data": {"max_examples": None},
        },
        versions={"python": "3.11.2", "tensorflow": "2.21.0", "keras": "3.12.0"},
        weights_source="imagenet",
        weights_sha256="0a1b" * 16,
        data_fingerprint="f00d" * 16,
        steps=[
            Step(name, seconds, 1_200_000_000, cached=name == "ImportSchemaGen", inputs=inputs)
            for name, (seconds, inputs) in STEPS.items()
        ],
        serving=SERVING,
        parameters=2_259_265,
        known={"images": 1000, "least": 0.61234},
    )
