"""What is compiled for Kubeflow Pipelines, held against the rules that its server applies."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2
from tfx.dsl.compiler.compiler import Compiler

import configuration
from cluster_settings import Cluster
from kubeflow import compile as compiled
from pipeline import create_pipeline
from settings import Settings, UserError

CONFIGS = configuration.names()
IMAGE = "registry.example/graftline:0123456789ab"
ARGO_NAME = re.compile("[a-zA-Z0-9][-a-zA-Z0-9]*")


def load(monkeypatch, config: str = "digits", **cluster) -> Settings:
    monkeypatch.setenv(configuration.CONFIG_VARIABLE, config)
    loaded = configuration.load(data_is_here=False)
    changed = {**loaded.cluster.model_dump(), "image": IMAGE, **cluster}
    return loaded.model_copy(update={"cluster": Cluster(**changed)})


def read(settings: Settings, path: Path) -> tuple[dict, dict]:
    """Returns the two documents: the pipeline, and what of it is Kubernetes' own."""
    # On a thread of its own: each of the SDK's setters looks at the whole stack, which pytest makes deep
    compiling = ThreadPoolExecutor(1).submit(compiled.compile_pipeline, settings, path)
    pipeline, platform = yaml.safe_load_all(compiling.result().read_text())
    return pipeline, platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]


def tasks(pipeline: dict) -> dict[str, dict]:
    return pipeline["components"]["comp-exit-handler-1"]["dag"]["tasks"]


@pytest.mark.parametrize("config", CONFIGS)
def test_every_configuration_is_what_the_server_accepts(config, monkeypatch, tmp_path):
    pipeline, _ = read(load(monkeypatch, config), tmp_path / "dag.yaml")
    json_format.ParseDict(pipeline, pipeline_spec_pb2.PipelineSpec())  # no key that the schema does not know
    assert pipeline["schemaVersion"] == "2.1.0"
    executors = pipeline["deploymentSpec"]["executors"]
    assert all(set(executor) == {"container"} for executor in executors.values())  # resolvers are "not implemented"
    names = [*tasks(pipeline), *pipeline["root"]["dag"]["tasks"], pipeline["pipelineInfo"]["name"]]
    assert all(ARGO_NAME.fullmatch(name) for name in names), names
    inputs = pipeline["root"]["inputDefinitions"]["parameters"]
    assert all("defaultValue" in given for given in inputs.values())
    used = {label for component in pipeline["components"].values() if (label := component.get("executorLabel"))}
    assert used == set(executors)


def test_each_node_of_the_dag_is_a_task_that_waits_for_those_upstream(monkeypatch, tmp_path):
    settings = load(monkeypatch)
    pipeline, _ = read(settings, tmp_path / "dag.yaml")
    nodes = [node.pipeline_node for node in Compiler().compile(create_pipeline(settings)).nodes]
    assert {task["taskInfo"]["name"] for task in tasks(pipeline).values()} == {node.node_info.id for node in nodes}
    for node in nodes:
        task = tasks(pipeline)[compiled.legal_name(node.node_info.id)]
        assert sorted(task.get("dependentTasks", [])) == sorted(map(compiled.legal_name, node.upstream_nodes))
        container = pipeline["deploymentSpec"]["executors"][f"exec-{compiled.legal_name(node.node_info.id)}"][
            "container"
        ]
        assert container["command"] == ["python", "-m", "kubeflow.run_node"]
        assert container["args"][:3] == [node.node_info.id, "--run", "{{$.pipeline_job_uuid}}"]
        assert container["image"] == IMAGE


def test_every_node_is_tried_again_limited_and_never_served_from_kubeflows_cache(monkeypatch, tmp_path):
    pipeline, kubernetes = read(load(monkeypatch, retries=3, retry_seconds=7), tmp_path / "dag.yaml")
    for name, task in tasks(pipeline).items():
        assert task["retryPolicy"]["maxRetryCount"] == 3
        assert task["retryPolicy"]["backoffDuration"] == "7s"
        assert task["cachingOptions"] == {}
        resources = pipeline["deploymentSpec"]["executors"][f"exec-{name}"]["container"]["resources"]
        assert resources["resourceMemoryLimit"] == resources["resourceMemoryRequest"]
        assert int(kubernetes[f"exec-{name}"]["activeDeadlineSeconds"]) > 0


def test_the_trainer_alone_is_placed_on_a_node_with_a_gpu(monkeypatch, tmp_path):
    trainer = {"count": 2, "node_selector": {"pool": "gpus"}, "tolerations": [{"key": "gpu", "effect": "NoExecute"}]}
    pipeline, kubernetes = read(load(monkeypatch, trainer=trainer), tmp_path / "dag.yaml")
    for name, executor in pipeline["deploymentSpec"]["executors"].items():
        place = kubernetes[name]
        on_gpu = name == "exec-trainer"
        assert ("accelerator" in executor["container"]["resources"]) == on_gpu
        assert ("nodeSelector" in place, "tolerations" in place) == (on_gpu, on_gpu)
        assert any(mount["mountPath"] == "/dev/shm" for mount in place["emptyDirMounts"]) == on_gpu
    accelerator = pipeline["deploymentSpec"]["executors"]["exec-trainer"]["container"]["resources"]["accelerator"]
    assert (accelerator["resourceType"], accelerator["resourceCount"]) == ("nvidia.com/gpu", "2")
    assert kubernetes["exec-trainer"]["nodeSelector"] == {"labels": {"pool": "gpus"}}
    assert kubernetes["exec-trainer"]["tolerations"] == [{"key": "gpu", "operator": "Exists", "effect": "NoExecute"}]


def test_without_an_accelerator_the_trainer_is_a_pod_like_others(monkeypatch, tmp_path):
    pipeline, kubernetes = read(load(monkeypatch, trainer={"count": 0}), tmp_path / "dag.yaml")
    assert "accelerator" not in pipeline["deploymentSpec"]["executors"]["exec-trainer"]["container"]["resources"]
    assert "tolerations" not in kubernetes["exec-trainer"]


def test_whatever_happens_the_end_is_told(monkeypatch, tmp_path):
    pipeline, _ = read(load(monkeypatch), tmp_path / "dag.yaml")
    end = pipeline["root"]["dag"]["tasks"]["end-run"]
    assert end["triggerPolicy"] == {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"}
    assert end["dependentTasks"] == ["exit-handler-1"]


def test_pods_get_the_settings_the_volume_and_the_password_but_the_file_does_not(monkeypatch, tmp_path):
    mysql = {"host": "db", "password": "not to be seen"}
    settings = load(monkeypatch, mysql=mysql)
    pipeline, kubernetes = read(settings, tmp_path / "dag.yaml")
    assert "not to be seen" not in (tmp_path / "dag.yaml").read_text()
    for name, executor in pipeline["deploymentSpec"]["executors"].items():
        (variable,) = executor["container"]["env"]
        monkeypatch.setenv(variable["name"], variable["value"])
        monkeypatch.setenv("GRAFTLINE_METADATA__PASSWORD", "secret")
        in_pod = configuration.load()
        assert in_pod.model_dump(exclude={"run", "data", "metadata", "cluster"}) == settings.model_dump(
            exclude={"run", "data", "metadata", "cluster"}
        )
        assert (in_pod.run.root, in_pod.metadata.host) == (Path("/mnt/graftline"), "db")
        assert in_pod.metadata.password.get_secret_value() == "secret"
        (mount,) = kubernetes[name]["pvcMount"]
        assert mount["mountPath"] == "/mnt/graftline"
        (secret,) = kubernetes[name]["secretAsEnv"]
        assert secret["keyToEnv"] == [{"envVar": "GRAFTLINE_METADATA__PASSWORD", "secretKey": "password"}]
        assert kubernetes[name]["securityContext"]["runAsNonRoot"] is True


def test_run_parameters_change_settings_in_the_pod(monkeypatch, tmp_path):
    settings = load(monkeypatch)
    pipeline, _ = read(settings, tmp_path / "dag.yaml")
    given = pipeline["root"]["inputDefinitions"]["parameters"]
    assert {name: given[name]["defaultValue"] for name in given} == compiled.parameters(settings)
    arguments = pipeline["deploymentSpec"]["executors"]["exec-trainer"]["container"]["args"][3:]
    assert arguments[:6] == [
        "--set", "data.span", "{{$.inputs.parameters['span']}}",
        "--set", "training.phase_1.epochs", "{{$.inputs.parameters['phase_1_epochs']}}",
    ]  # fmt: skip


def test_photos_are_looked_for_on_the_volume_not_here(monkeypatch, tmp_path):
    values = {"name": "flowers", "data": {"dataset": "folder:photos/flowers"}, "gate": {"min_accuracy": 0.9}}
    monkeypatch.setenv(configuration.CONFIG_VARIABLE, json.dumps(values))
    settings = configuration.load(data_is_here=False)
    assert compiled.on_cluster(settings).data.folder == Path("/mnt/graftline/photos/flowers")


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        (
            "DATA__DATASET",
            "folder:/home/me/digits",
            r"data.dataset = 'folder:/home/me/digits' is not on the volume: copy",
        ),
        ("MODEL__WEIGHTS", __file__, r"model.weights = '.*test_compile.py' is a file of this machine: give imagenet"),
        (
            "DATA_GATE__INFER_SCHEMA",
            "true",
            r"/schemas/pets.pbtxt is not in the image: review it, move it to .*schemas",
        ),
    ],
)
def test_what_pods_do_not_have_is_refused(variable, value, message, monkeypatch, tmp_path):
    monkeypatch.setenv(f"GRAFTLINE_{variable}", value)
    values = {"name": "pets", "data": {"dataset": "digits"}, "gate": {"min_accuracy": 0.9}}
    with pytest.raises(UserError, match=message):
        compiled.compile_pipeline(load(monkeypatch, json.dumps(values)), tmp_path / "dag.yaml")
    assert not list(tmp_path.iterdir())


def test_an_image_without_a_tag_is_that_of_this_revision(monkeypatch):
    tagged = compiled.image(load(monkeypatch, image="registry.example:5000/graftline"))
    assert re.fullmatch(r"registry\.example:5000/graftline:[0-9a-f]{12}(-dirty)?", tagged)
    digest = f"registry.example/graftline@sha256:{'0' * 64}"
    assert compiled.image(load(monkeypatch, image=digest)) == digest


def test_without_an_image_nothing_is_compiled(monkeypatch, tmp_path):
    with pytest.raises(UserError, match=r"cluster.image is not set: build and push one with `make kubeflow-image"):
        compiled.compile_pipeline(load(monkeypatch, image=None), tmp_path / "dag.yaml")
    assert not list(tmp_path.iterdir())
