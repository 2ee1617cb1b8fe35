"""Learning rates from step to step."""

import pytest

from graftline.settings.training import Phase
from graftline.training.optimizers import make_optimizer


def test_cosine_warms_up_over_a_twentieth_of_the_steps() -> None:
    phase = Phase(epochs=10, learning_rate=1e-3, schedule="cosine")
    rate = make_optimizer(phase, steps=10)._learning_rate
    assert [float(rate(step)) for step in (0, 5, 100)] == pytest.approx([0, 1e-3, 0], abs=1e-9)


def test_restarts_end_each_epoch_at_zero_and_begin_the_next_half_as_high() -> None:
    phase = Phase(epochs=3, learning_rate=1e-3, schedule="restarts")
    rate = make_optimizer(phase, steps=100)._learning_rate
    at = [float(rate(step)) for step in range(300)]
    assert at[0] == at[100] == at[200] == 0, "each epoch warms up"
    assert [max(at[:100]), max(at[100:200]), max(at[200:])] == pytest.approx([1e-3, 5e-4, 2.5e-4])
    assert max(at[98:100] + at[198:200]) < 3e-6
