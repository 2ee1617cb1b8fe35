"""Fetches the pretrained weights of a configuration's backbone: `make weights CONFIG=…`."""

import os
import sys

from graftline.base.errors import UserError
from graftline.network.weights import resolve
from graftline.settings.load import load


def main() -> int:
    """Fetches the weights of the settings and says which they are; returns the exit status."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # two lines of our own, not lost among TensorFlow's
    try:
        model = load(data_is_here=False).model
        weights = resolve(model.backbone, model.image_size, model.weights)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    found = f"{weights.source}, sha256 {weights.sha256[:8]}, {weights.path}" if weights else "none, random"
    print(f"{model.backbone} at {model.image_size}: weights {found}")
    return 0
