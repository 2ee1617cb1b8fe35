"""The picture of the DAG shows the DAG of the code."""

from pathlib import Path

from docs import dag


def test_the_picture_is_that_of_the_code(tmp_path: Path) -> None:
    dag.draw(tmp_path / "dag.svg")
    assert (tmp_path / "dag.svg").read_text() == dag.PICTURE.read_text(), "run `make docs` to draw it again"


def test_arrows_that_others_imply_are_left_out() -> None:
    edges = dag.waits()
    assert edges["Transform"] == {"DataGate"}
    assert edges["DataGate"] == {"BaselineData", "Duplicates", "ExampleValidator"}
    assert edges["PredictionsToTable"] == {"BulkInferrer"}
