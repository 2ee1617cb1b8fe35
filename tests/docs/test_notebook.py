"""The notebook, executed on thirty photos of each class: its figures match the page."""

from pathlib import Path

import nbformat
import papermill
import pytest

from graftline.base.paths import HOME_VARIABLE, PREFIX, PROJECT
from tests import tiny

NOTEBOOK = PROJECT / "docs/tutorials/from-tensorflow.ipynb"
SHORT = {
    "MODEL__WEIGHTS": "none",
    "DATA_GATE__INFER_SCHEMA": "true",
    "GATE__MIN_ACCURACY": "0.1",
    "GATE__MIN_TEST_EXAMPLES": "1",
    "SERVING__MAX_LATENCY_MS": "60000",
}
SHOWN = [
    "Phase 2: ",
    "(32, 160, 160, 3) -1.0 ",
    "(32, 5, 5, 1280)",
    "1,281 trainable",
    "1,863,873 trainable",
    "Test accuracy: ",
]


@pytest.mark.faults
def test_the_notebook_gives_what_it_says(no_overrides: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(60):
        photo = tmp_path / "photos" / ("cat", "dog")[number % 2] / f"{number}.jpg"
        photo.parent.mkdir(parents=True, exist_ok=True)
        photo.write_bytes(tiny.photo(number))
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path))
    monkeypatch.delenv("PYTEST_CURRENT_TEST")  # if it is set, kernels do not show what their children print
    for name, value in (SHORT | {"DATA__DATASET": f"folder:{tmp_path / 'photos'}"}).items():
        monkeypatch.setenv(PREFIX + name, value)
    executed = papermill.execute_notebook(
        NOTEBOOK, tmp_path / "executed.ipynb", {"EPOCHS": 1}, cwd=PROJECT, kernel_name="python3", progress_bar=False
    )
    outputs = [output for cell in executed.cells for output in cell.get("outputs", ())]
    printed = "".join(output.text for output in outputs if output.output_type == "stream")
    assert [shown for shown in SHOWN if shown not in printed] == []
    pictures = [output for output in outputs if "image/png" in output.get("data", ())]
    assert len(pictures) == 3  # two images, the curves, nine predictions


def test_the_notebook_is_kept_without_outputs() -> None:
    cells = nbformat.read(NOTEBOOK, as_version=4).cells
    assert [cell.id for cell in cells if cell.get("outputs") or cell.get("execution_count")] == []
