"""What is exported for Vertex AI, held against the schema of a PipelineJob and against what TFX's entry point reads."""

import json
import re
import sys
from pathlib import Path

import pytest
from google.protobuf import json_format
from kfp.pipeline_spec.pipeline_spec_pb2 import PipelineDeploymentConfig, PipelineJob, PipelineSpec, Value
from tfx.dsl.components.base.base_executor import BaseExecutor
from tfx.orchestration.kubeflow.v2 import compiler_utils
from tfx.orchestration.kubeflow.v2.container.kubeflow_v2_entrypoint_utils import parse_execution_properties
from tfx.utils import import_utils

import configuration
from components import example_gen
from kubeflow import vertex
from pipeline import create_pipeline
from settings import Settings, UserError
from tests.kubeflow.test_compile import CONFIGS, IMAGE

ROOT = "gs://my-bucket/graftline"
PATH = re.compile(r"(?<![\w./])(?:/[\w.-]+)+")
T4 = {"type": "NVIDIA_TESLA_T4"}


def load(monkeypatch, config: str = "digits", **trainer) -> Settings:
    monkeypatch.setenv(configuration.CONFIG_VARIABLE, config)
    monkeypatch.setenv("GRAFTLINE_CLUSTER__IMAGE", IMAGE)
    monkeypatch.setenv("GRAFTLINE_CLUSTER__TRAINER", json.dumps(T4 | trainer))
    return configuration.load(data_is_here=False)


def export(settings: Settings, path: Path) -> dict:
    return json.loads(vertex.compile_pipeline(settings, path, ROOT).read_text())


def tasks(job: dict) -> dict[str, dict]:
    return job["pipelineSpec"]["root"]["dag"]["tasks"]


def executor(job: dict, name: str) -> dict:
    label = job["pipelineSpec"]["components"][tasks(job)[name]["componentRef"]["name"]]["executorLabel"]
    return job["pipelineSpec"]["deploymentSpec"]["executors"][label]


def values(job: dict, name: str) -> dict:
    """Returns a task's parameters as TFX's entry point hands them to the executor."""
    given = tasks(job)[name]["inputs"]["parameters"].items()
    constants = {key: value["runtimeValue"]["constantValue"] for key, value in given}
    return parse_execution_properties({}, {key: json_format.ParseDict(one, Value()) for key, one in constants.items()})


@pytest.mark.parametrize("config", CONFIGS)
def test_every_configuration_fits_the_schema(config, monkeypatch, tmp_path):
    job = export(load(monkeypatch, config), tmp_path / "made" / "job.json")
    # Strictly: no key that the schema does not know. What PipelineJob and PipelineSpec leave open is parsed by itself
    json_format.ParseDict(job, PipelineJob())
    spec = json_format.ParseDict(job["pipelineSpec"], PipelineSpec())
    deployment = json_format.ParseDict(job["pipelineSpec"]["deploymentSpec"], PipelineDeploymentConfig())
    assert (spec.schema_version, spec.pipeline_info.name) == ("2.0.0", config.replace("_", "-"))
    assert job["runtimeConfig"] == {"gcsOutputDirectory": ROOT}
    assert {component.executor_label for component in spec.components.values()} == set(deployment.executors)
    assert list((tmp_path / "made").iterdir()) == [tmp_path / "made" / "job.json"]


def test_nodes_are_those_of_the_dag_but_for_the_resolvers_and_the_report(monkeypatch, tmp_path):
    settings = load(monkeypatch)
    job = export(settings, tmp_path / "job.json")
    nodes = {node.id for node in create_pipeline(settings).components} - {"Baseline", "BaselineData", "ReportGen"}
    resolvers = {"Baseline-model-blessing-resolver", "Baseline-model-resolver"}
    assert set(tasks(job)) == nodes | resolvers
    for name in nodes:
        container = executor(job, name)["container"]
        assert container["image"] == IMAGE
        flag, path, *_ = container["args"]
        assert flag == "--executor_class_path"
        assert issubclass(import_utils.import_class_by_path(path), BaseExecutor)
    assert all(set(executor(job, name)) == {"resolver"} for name in resolvers)


def test_tasks_take_what_others_make_after_they_made_it(monkeypatch, tmp_path):
    job = export(load(monkeypatch), tmp_path / "job.json")
    components = job["pipelineSpec"]["components"]
    for name, task in tasks(job).items():
        wanted = components[name].get("inputDefinitions", {}).get("artifacts", {})
        given = task.get("inputs", {}).get("artifacts", {})
        assert set(given) == set(wanted)
        for key, one in given.items():
            source = one["taskOutputArtifact"]
            made_by = source["producerTask"]
            outputs = components[made_by]["outputDefinitions"]["artifacts"]
            assert outputs[source["outputArtifactKey"]] == wanted[key]
            assert "resolver" in name or made_by in task["dependentTasks"]
    assert set(tasks(job)["Transform"]["dependentTasks"]) >= {"DataGate"}
    assert set(tasks(job)["ServingCheck"]["dependentTasks"]) >= {"Evaluator"}


def test_a_candidate_meets_the_latest_blessed_model_and_the_gate_no_baseline(monkeypatch, tmp_path):
    job = export(load(monkeypatch), tmp_path / "job.json")
    baseline = tasks(job)["Evaluator"]["inputs"]["artifacts"]["baseline_model"]["taskOutputArtifact"]
    assert baseline == {"producerTask": "Baseline-model-resolver", "outputArtifactKey": "model"}
    queries = executor(job, "Baseline-model-blessing-resolver")["resolver"]["outputArtifactQueries"]
    assert "metadata.blessed.number_value=1" in queries["model_blessing"]["filter"]
    assert set(tasks(job)["DataGate"]["inputs"]["artifacts"]) == {"anomalies", "statistics", "schema", "report"}


def test_what_is_pushed_waits_for_no_report(monkeypatch, tmp_path):
    job = export(load(monkeypatch), tmp_path / "job.json")
    assert set(tasks(job)["Pusher"]["inputs"]["artifacts"]) == {"model", "model_blessing", "infra_blessing"}
    assert set(tasks(job)["Pusher"]["dependentTasks"]) == {"Trainer", "Evaluator", "ServingCheck"}


def test_artifacts_are_of_types_that_the_entry_point_can_read_back(monkeypatch, tmp_path):
    text = json.dumps(export(load(monkeypatch), tmp_path / "job.json"))
    titles = set(re.findall(r"title: ([\w.]+)", text))
    assert titles <= set(compiler_utils.TITLE_TO_CLASS_PATH)
    assert "tfx.File" in titles  # the report of duplicates


def test_nothing_is_served_from_the_cache(monkeypatch, tmp_path):
    job = export(load(monkeypatch), tmp_path / "job.json")
    assert all("cachingOptions" not in task for task in tasks(job).values())


def test_files_are_in_the_bucket_or_in_the_image(monkeypatch, tmp_path):
    settings = {"name": "shop", "data": {"dataset": "folder:photos/digits"}, "gate": {"min_accuracy": 0.9}}
    job = export(load(monkeypatch, json.dumps(settings)), tmp_path / "job.json")
    assert set(PATH.findall(json.dumps(job))) == {
        "/app/schemas/digits.pbtxt",
        "/gcs/my-bucket/graftline/data",
        "/gcs/my-bucket/graftline/photos/digits",
        "/gcs/my-bucket/graftline/serving/shop",
        "/gcs/my-bucket/graftline/work",
    }


def test_the_entry_point_reads_back_what_was_set(monkeypatch, tmp_path):
    settings = load(monkeypatch)
    job = export(settings, tmp_path / "job.json")
    read = example_gen._data(values(job, "TfdsExampleGen"))
    assert read == settings.data.model_copy(update={"data_dir": Path("/gcs/my-bucket/graftline/data")})
    custom_config = json.loads(values(job, "Trainer")["custom_config"])
    assert custom_config["training"] == settings.training.model_dump(mode="json")


def test_the_trainer_alone_has_the_accelerator(monkeypatch, tmp_path):
    job = export(load(monkeypatch, count=2), tmp_path / "job.json")
    resources = {name: executor(job, name)["container"]["resources"] for name in tasks(job) if "resolver" not in name}
    trainer = resources.pop("Trainer")
    assert trainer["accelerator"] == {"type": "NVIDIA_TESLA_T4", "count": "2"}
    assert (trainer["cpuLimit"], trainer["memoryLimit"]) == (4, pytest.approx(16 * 1.073741824))  # GB
    assert all(one == {"cpuLimit": 1, "memoryLimit": pytest.approx(4 * 1.073741824)} for one in resources.values())


def test_without_an_accelerator_kubernetes_name_for_it_does_not_matter(monkeypatch, tmp_path):
    job = export(load(monkeypatch, count=0, type="nvidia.com/gpu"), tmp_path / "job.json")
    assert "accelerator" not in executor(job, "Trainer")["container"]["resources"]


@pytest.mark.parametrize("root", ["", "gs://", "gs:/my-bucket/a", "s3://my-bucket/a", "/gcs/my-bucket/a", "gs://a b/c"])
def test_a_root_that_is_in_no_bucket_is_refused(root, monkeypatch, tmp_path):
    with pytest.raises(UserError, match=f"--root {root!r} is no place in a bucket: give one such as gs://"):
        vertex.compile_pipeline(load(monkeypatch), tmp_path / "job.json", root)


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        (
            "DATA__DATASET",
            "folder:/photos/digits",
            r"data.dataset = 'folder:/photos/digits' is not on the volume: copy it",
        ),
        ("MODEL__WEIGHTS", __file__, r"model.weights = '.*test_vertex.py' is a file of this machine: give imagenet"),
        ("SERVING__TENSORFLOW_SERVING", "2.19.1", r"serving.tensorflow_serving = '2.19.1': TFX cannot compile"),
        ("CLUSTER__TRAINER__TYPE", "nvidia.com/gpu", r"cluster.trainer.type = 'nvidia.com/gpu' is no accelerator of"),
        ("CLUSTER__IMAGE", "", r"cluster.image is not set: build and push one"),
    ],
)
def test_what_vertex_ai_lacks_is_refused(variable, value, message, monkeypatch, tmp_path):
    load(monkeypatch)
    monkeypatch.setenv(f"GRAFTLINE_{variable}", value)
    with pytest.raises(UserError, match=message):
        vertex.compile_pipeline(configuration.load(data_is_here=False), tmp_path / "job.json", ROOT)
    assert not list(tmp_path.iterdir())


def test_the_program_says_where_the_job_is(monkeypatch, tmp_path, capsys):
    load(monkeypatch)
    path = tmp_path / "job.json"
    monkeypatch.setattr(sys, "argv", ["vertex", "--root", f"{ROOT}/", "--output", str(path)])
    vertex.main()
    assert capsys.readouterr().out == f"Compiled to {path}\n"
    assert json.loads(path.read_text())["runtimeConfig"] == {"gcsOutputDirectory": ROOT}
