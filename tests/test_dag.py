"""The DAG as it is assembled, without running it."""

import pytest
from tfx.components import InfraValidator
from tfx.dsl.compiler.compiler import Compiler

from graftline.base.errors import UserError
from graftline.runs.local import main
from graftline.settings.data import Bulk
from graftline.settings.settings import Settings
from graftline.settings.training import Tuning
from pipeline import create_pipeline, reading


def settings(root, **serving):
    run = {"root": root, "serving_dir": root / "serving"}
    return Settings(name="digits", data={"dataset": "digits"}, gate={"min_accuracy": 0.5}, run=run, serving=serving)


def nodes(settings: Settings) -> dict:
    return {node.id: node for node in create_pipeline(settings).components}


def test_what_decides_is_before_what_it_decides_about(tmp_path):
    order = list(nodes(settings(tmp_path)))
    gates = ["TfdsExampleGen", "DataGate", "Transform", "Trainer", "Evaluator", "ServingCheck", "Pusher", "ReportGen"]
    assert [name for name in order if name in gates] == gates
    found = nodes(settings(tmp_path))
    assert found["Transform"].upstream_nodes >= {found["DataGate"]}
    assert found["ServingCheck"].upstream_nodes >= {found["Evaluator"]}
    assert found["ReportGen"].upstream_nodes >= {found["Evaluator"], found["ServingCheck"]}
    assert found["Pusher"].upstream_nodes >= {found["Evaluator"], found["ServingCheck"], found["CardGen"]}
    assert found["Pusher"] in found["ReportGen"].upstream_nodes


def test_what_duplicates_found_reaches_the_evaluator_in_the_compiled_dag(tmp_path):
    compiled = {
        node.pipeline_node.node_info.id: node.pipeline_node
        for node in Compiler().compile(create_pipeline(settings(tmp_path))).nodes
    }
    (channel,) = compiled["Evaluator"].inputs.inputs["duplicates"].channels
    assert channel.producer_node_query.id == "Duplicates"


def test_on_a_cluster_tensorflow_serving_can_do_the_check(tmp_path):
    found = nodes(settings(tmp_path, tensorflow_serving="2.18.0"))
    check = found["ServingCheck"]
    assert isinstance(check, InfraValidator)
    assert '"2.18.0"' in check.spec.exec_properties["serving_spec"]
    assert check in found["Pusher"].upstream_nodes & found["ReportGen"].upstream_nodes


def test_without_a_cluster_tensorflow_serving_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"serving.tensorflow_serving = '2.18.0': .* leave it unset"):
        main(settings(tmp_path, tensorflow_serving="2.18.0"), create_pipeline, reading)


def test_smaller_forms_go_to_the_report_and_the_pusher_where_any_are_asked_for(tmp_path):
    assert "Exporter" not in nodes(settings(tmp_path))
    found = nodes(settings(tmp_path).model_copy(update={"exports": ("tflite_fp16",)}))
    assert found["Exporter"].upstream_nodes == {found["Trainer"], found["TfdsExampleGen"]}
    assert found["Exporter"] in found["ReportGen"].upstream_nodes & found["Pusher"].upstream_nodes


def test_what_the_tuner_finds_goes_to_the_trainer_where_trials_are_asked_for(tmp_path):
    assert "Tuner" not in nodes(settings(tmp_path))
    found = nodes(settings(tmp_path).model_copy(update={"tuning": Tuning(trials=2)}))
    assert found["Tuner"].upstream_nodes == {found["TfdsExampleGen"], found["Transform"]}
    assert found["Tuner"] in found["Trainer"].upstream_nodes


def test_photos_without_labels_are_classified_where_there_are_any(tmp_path):
    assert not {"UnlabelledExampleGen", "BulkInferrer", "PredictionsToTable"} & set(nodes(settings(tmp_path)))
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/a.jpg").write_bytes(b"x")
    found = nodes(settings(tmp_path).model_copy(update={"bulk": Bulk(folder=tmp_path / "photos")}))
    assert found["BulkInferrer"].upstream_nodes == {
        found[name] for name in ("UnlabelledExampleGen", "Trainer", "Evaluator")
    }
    assert found["PredictionsToTable"].upstream_nodes >= {found["BulkInferrer"]}
