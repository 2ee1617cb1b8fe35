"""Cross-validation for small datasets: for every image, the answer of a head that did not learn from it.

The heads are on the frozen backbone, because the features of all images are already cached; what fine-tuning adds is
measured only on the test split.
"""

import json
from pathlib import Path

import numpy as np

from graftline.artifacts.examples import TEST
from graftline.artifacts.held_out import HeldOut
from graftline.artifacts.history import HISTORY_FILE
from graftline.features import pooled
from graftline.features.pooled import Series

SMALL = 1000  # images, as in `configs/photos.yaml`; of a larger dataset, a tenth is enough to test with
SEED = 0


def run(model_run: str, series: Series) -> HeldOut | None:
    """Returns the heads' answers to one image of each series; None if there are too many images, or features are gone.

    Args:
      model_run: what the Trainer stored: the folders of the features, and whether all classes count equally.
      series: the places of images that look alike or are copies; they share a fold and count once.
    """
    history = json.loads(Path(model_run, HISTORY_FILE).read_text())
    folders = {split: views[0] for split, views in history["features"].items()}
    if pooled.missing(folders) or pooled.count(folders) > SMALL:
        return None
    # Imported only here, because the solver takes seconds to import, which every start of any program would pay
    from graftline.training import head

    rows, plain, labels = pooled.read(folders, SMALL)
    first = pooled.firsts(rows, series)
    fold_of = head.grouped_folds(labels, first, SEED)
    strength, probabilities = head.cross_validated(plain, labels, fold_of, history["balanced"])
    tested = np.array([split == TEST for split, _ in rows])
    # If only one class is left to learn from, no head can answer
    counted = (first == np.arange(len(rows))) & ~np.isnan(probabilities).any(axis=1)
    if not counted.any():
        return None
    return HeldOut(labels[counted], probabilities[counted], tested[counted], strength)
