"""Examples: names of their features, splits and properties, and the class names stored with them and with models."""

from pathlib import Path

IMAGE = "image"  # bytes: the image as it was encoded
LABEL = "label"  # int64: index of the class
LABEL_NAME = "label_name"  # bytes: name of the class
IMAGE_ID = "image_id"  # bytes: file name, or id in TFDS
WIDTH, HEIGHT = "width", "height"  # int64: pixels, as decoded

TRAIN, VALIDATION, TEST = "train", "validation", "test"
SPLITS = (TRAIN, VALIDATION, TEST)

EXAMPLES, IMAGE_BYTES = "examples", "image_bytes"  # inputs of an exported model: tf.Examples, encoded images

LABEL_NAMES_FILE = "label_names.txt"
EXTRA = "assets.extra"  # folder in a SavedModel for files that are not part of its graph; model servers leave it alone

FINGERPRINT = "input_fingerprint"  # TFX's name; its module with such names takes seconds to import
COUNTS = "counts"  # property of the artifact: JSON, examples by split and label name
LEFT_OUT = "left_out"  # property of the artifact: JSON, images by reason
SKIPPED = "skipped"  # property of the artifact: JSON, files that are not looked at, by kind
GIVEN = "given_splits"  # property of the artifact: a sentence about the dataset's own splits
LEFT_OUT_FILE = "left_out.jsonl"
COUNTS_FILE = "counts.jsonl"


def write_label_names(folder: str, names: list[str]) -> None:
    """Writes the class names, one per line in the order of their labels, to a folder of splits or of a model's extras."""
    Path(folder, LABEL_NAMES_FILE).write_text("".join(f"{name}\n" for name in names))


def uri_of(pattern: str) -> str:
    """Returns the URI of the artifact that contains the files of a split.

    Args:
      pattern: how TFX names the files, `<artifact>/Split-train/*`.
    """
    return str(Path(pattern).parents[1])


def read_label_names(folder: str) -> list[str]:
    """Returns the class names in the order of their labels."""
    return Path(folder, LABEL_NAMES_FILE).read_text().splitlines()
