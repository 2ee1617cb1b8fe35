"""Cross-validation of small sets: of every image what a head says that has not learnt from it.

The heads stand on the frozen base, for the features of all images are there already; what fine-tuning adds is measured on
the test split alone.
"""

import json
from pathlib import Path

import numpy as np

from graftline.artifacts.examples import TEST
from graftline.artifacts.held_out import HeldOut
from graftline.artifacts.history import HISTORY_FILE
from graftline.features import pooled
from graftline.features.pooled import Series

SMALL = 1000  # images, as `configs/photos.yaml` has it: of more, a tenth is enough to test by
SEED = 0


def run(model_run: str, series: Series) -> HeldOut | None:
    """Returns what heads answer, to one image of each series; None where there are too many images, or features are gone.

    Args:
      model_run: what the Trainer kept, with the folders of the features, and whether its classes count alike.
      series: the places of images that look alike or are copies: they are in one fold, and count once.
    """
    history = json.loads(Path(model_run, HISTORY_FILE).read_text())
    folders = {split: views[0] for split, views in history["features"].items()}
    if pooled.missing(folders) or pooled.count(folders) > SMALL:
        return None
    # Not with this module: the solver takes seconds to import, at every start of any program
    from graftline.training import head

    rows, plain, labels = pooled.read(folders, SMALL)
    first = pooled.firsts(rows, series)
    fold_of = head.grouped_folds(labels, first, SEED)
    strength, probabilities = head.cross_validated(plain, labels, fold_of, history["balanced"])
    tested = np.array([split == TEST for split, _ in rows])
    # Where one class alone is left to learn from, no head can be asked
    counted = (first == np.arange(len(rows))) & ~np.isnan(probabilities).any(axis=1)
    if not counted.any():
        return None
    return HeldOut(labels[counted], probabilities[counted], tested[counted], strength)
