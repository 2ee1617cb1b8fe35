"""The DAG as it is assembled, without a run."""

import pytest

from pipeline import create_pipeline, main
from settings import Settings, UserError


def settings(root, **serving):
    run = {"root": root, "serving_dir": root / "serving"}
    return Settings(name="digits", data={"dataset": "digits"}, gate={"min_accuracy": 0.5}, run=run, serving=serving)


def nodes(settings: Settings) -> dict:
    return {node.id: node for node in create_pipeline(settings).components}


def test_what_decides_is_before_what_it_decides_about(tmp_path):
    order = list(nodes(settings(tmp_path)))
    gates = ["TfdsExampleGen", "DataGate", "Transform", "Trainer", "Evaluator", "ServingCheck", "Pusher"]
    assert [name for name in order if name in gates] == gates
    found = nodes(settings(tmp_path))
    assert found["Transform"].upstream_nodes >= {found["DataGate"]}
    assert found["ServingCheck"].upstream_nodes >= {found["Evaluator"]}
    assert found["Pusher"].upstream_nodes >= {found["Evaluator"], found["ServingCheck"]}


def test_on_a_cluster_tensorflow_serving_can_do_the_check(tmp_path):
    found = nodes(settings(tmp_path, tensorflow_serving="2.18.0"))
    assert "ServingCheck" not in found
    serving_spec = found["InfraValidator"].spec.exec_properties["serving_spec"]
    assert '"2.18.0"' in serving_spec
    assert found["Pusher"].upstream_nodes >= {found["InfraValidator"]}


def test_without_a_cluster_tensorflow_serving_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"serving.tensorflow_serving = '2.18.0': .* leave it unset"):
        main(settings(tmp_path, tensorflow_serving="2.18.0"))
