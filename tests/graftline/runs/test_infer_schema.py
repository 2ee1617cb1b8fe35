"""A dataset's schema is inferred from its data."""

import shutil

import numpy as np
import pytest
from PIL import Image

from graftline.base.errors import UserError
from graftline.runs import history, provisional
from graftline.runs.infer_schema import infer_schema
from pipeline import reading
from tests.past import settings_of


def test_a_schema_is_inferred_anew_until_it_is_kept_and_that_is_no_run(tmp_path):
    random, folder = np.random.default_rng(0), tmp_path / "photos"
    for number in range(30):
        path = folder / ("cat", "dog", "bird")[number % 3] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(path)
    settings = settings_of(  # in a folder that Beam would take for a pattern
        tmp_path / "code [20*24]?", name="pets", data={"dataset": f"folder:{folder}"}, data_gate={"infer_schema": True}
    )
    infer_schema(settings, reading(settings))
    assert '"bird"' in settings.schema_path.read_text()
    shutil.rmtree(folder / "bird")
    infer_schema(settings, reading(settings))
    assert '"cat"' in settings.schema_path.read_text()
    assert '"bird"' not in settings.schema_path.read_text()
    provisional.keep(settings.schema_path)
    with pytest.raises(UserError, match=r"pets\.pbtxt already exists: move it away"):
        infer_schema(settings, reading(settings))
    with pytest.raises(UserError, match="There is no run of pets yet"):
        history.read(settings)
