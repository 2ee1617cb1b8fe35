"""What a given number of images can prove: intervals of accuracies, and a test of two models on the same images."""

import math

import numpy as np

NORMAL_95 = 1.959964  # 95 % of a normal distribution are within this many standard deviations

Interval = tuple[float, float]


def wilson(correct: int, total: int) -> Interval:
    """Returns the 95 % interval of a proportion (E. B. Wilson, Probable Inference, 1927).

    Args:
      correct: number of successes.
      total: number of trials, 1 or more.
    """
    share, weight = correct / total, NORMAL_95**2 / total
    centre = (share + weight / 2) / (1 + weight)
    half = math.sqrt(share * (1 - share) * weight + weight**2 / 4) / (1 + weight)
    return max(centre - half, 0.0), min(centre + half, 1.0)


def paired(first: np.ndarray, second: np.ndarray) -> Interval:
    """Returns the 95 % interval of the difference of two accuracies on the same examples.

    Wald's interval with half an example added to each of the four cells (A. Agresti, Y. Min, Simple improved confidence
    intervals for comparing matched proportions, Statistics in Medicine 24, 2005).

    Args:
      first: whether one model is right, bool [examples].
      second: whether the other is.
    """
    gained, lost = (first & ~second).sum() + 0.5, (second & ~first).sum() + 0.5
    total = len(first) + 2
    centre = (gained - lost) / total
    half = NORMAL_95 * math.sqrt((gained + lost) / total - centre**2) / math.sqrt(total)
    return max(float(centre - half), -1.0), min(float(centre + half), 1.0)


def confidence(first: np.ndarray, second: np.ndarray) -> float:
    """Returns the confidence that one model is better than another, in [0, 1]: 1 minus the p-value of McNemar's exact test.

    Of the images that only one model gets right, half would be the first one's if neither were better (Q. McNemar, Note on
    the sampling error of the difference between correlated proportions or percentages, Psychometrika 12, 1947).

    Args:
      first: whether one model is right, bool [examples].
      second: whether the other is.
    """
    from scipy.stats import binomtest  # takes a second to import

    gained, lost = int((first & ~second).sum()), int((second & ~first).sum())
    if not gained:
        return 0.0
    return 1 - float(binomtest(gained, gained + lost, alternative="greater").pvalue)
