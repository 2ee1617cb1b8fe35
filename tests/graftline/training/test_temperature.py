"""The temperature: it calibrates, and a few images do not drive it to extremes."""

import numpy as np
import pytest

from graftline.training import temperature


def sampled(true: float, classes: int, examples: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Returns labels, and logits that are calibrated once divided by a temperature; one logit stands for two classes."""
    random = np.random.default_rng(0)
    logits = random.normal(0, 3, (examples, classes))
    if classes == 2:
        logits[:, 0] = 0
    powers = np.exp(logits / true)
    labels = (random.random((examples, 1)) > (powers / powers.sum(axis=1, keepdims=True)).cumsum(axis=1)).sum(axis=1)
    return labels.clip(0, classes - 1), logits[:, 1:] if classes == 2 else logits


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("true", [0.5, 1.0, 2.0])
def test_the_temperature_that_calibrates_is_found(true: float, classes: int) -> None:
    assert temperature.fit(*sampled(true, classes)) == pytest.approx(true, rel=0.05)


def test_a_few_images_that_are_all_right_do_not_make_it_certain() -> None:
    labels = np.array([0, 1] * 10)
    logits = np.where(labels == 1, 2.0, -2.0)[:, None]
    confidence = 1 / (1 + np.exp(-2 / temperature.fit(labels, logits)))
    assert confidence == pytest.approx(1 - 1 / 44, abs=1e-3)  # 1/22 of each label is spread over two classes
