"""Checks compiled pipelines by the rules that the server of Kubeflow Pipelines applies."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2
from tfx.dsl.compiler.compiler import Compiler

from graftline.base.errors import UserError
from graftline.settings import load as configuration
from graftline.settings.cluster import Cluster
from graftline.settings.load import CONFIG_VARIABLE, names
from graftline.settings.settings import Settings
from kubeflow import compile as compiled
from pipeline import create_pipeline
from tests.kubeflow.backend import SUCCEEDED, Pipeline, RefusedError, Run

CONFIGS = names()
IMAGE = "registry.example/graftline:0123456789ab"
ARGO_NAME = re.compile("[a-zA-Z0-9][-a-zA-Z0-9]*")


def load(monkeypatch, config: str = "digits", **cluster) -> Settings:
    monkeypatch.setenv(CONFIG_VARIABLE, config)
    loaded = configuration.load(data_is_here=False)
    changed = {**loaded.cluster.model_dump(), "image": IMAGE, **cluster}
    return loaded.model_copy(update={"cluster": Cluster(**changed)})


def read(settings: Settings, path: Path) -> tuple[dict, dict]:
    """Returns the two documents: the pipeline, and its part for Kubernetes."""
    # In a separate thread, because each of the SDK's setters walks the whole stack, which is deep under pytest
    compiling = ThreadPoolExecutor(1).submit(compiled.compile_pipeline, settings, path)
    pipeline, platform = yaml.safe_load_all(compiling.result().read_text())
    return pipeline, platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]


def tasks(pipeline: dict) -> dict[str, dict]:
    """Returns the tasks that run nodes by name, including those of stages inside a condition."""
    found = pipeline["components"]["comp-exit-handler-1"]["dag"]["tasks"]
    inner = [task for task in found.values() if "condition" in task.get("triggerPolicy", {})]
    for condition in inner:
        found = found | pipeline["components"][condition["componentRef"]["name"]]["dag"]["tasks"]
    return {name: task for name, task in found.items() if task not in inner}


PODS = pytest.mark.parametrize("pods", ["stage", "component"])


@PODS
@pytest.mark.parametrize("config", CONFIGS)
def test_every_configuration_is_what_the_server_accepts(config, pods, monkeypatch, tmp_path):
    pipeline, _ = read(load(monkeypatch, config, pods=pods), tmp_path / "dag.yaml")
    json_format.ParseDict(pipeline, pipeline_spec_pb2.PipelineSpec())  # fails for keys that the schema does not know
    assert pipeline["schemaVersion"] == "2.1.0"
    executors = pipeline["deploymentSpec"]["executors"]
    assert all(set(executor) == {"container"} for executor in executors.values())  # resolvers are "not implemented"
    names = [*tasks(pipeline), *pipeline["root"]["dag"]["tasks"], pipeline["pipelineInfo"]["name"]]
    assert all(ARGO_NAME.fullmatch(name) for name in names), names
    inputs = pipeline["root"]["inputDefinitions"]["parameters"]
    assert all("defaultValue" in given for given in inputs.values())
    used = {label for component in pipeline["components"].values() if (label := component.get("executorLabel"))}
    assert used == set(executors)


def test_each_node_of_the_dag_can_be_a_task_that_waits_for_those_upstream(monkeypatch, tmp_path):
    settings = load(monkeypatch, pods="component")
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
        assert container["args"][:3] == [node.node_info.id, "--run", "{{$.inputs.parameters['run']}}"]
        assert container["image"] == IMAGE


SECRETS = {"graftline-mysql": {"password": "x"}, "graftline-settings": {"webhook": "https://a/b", "beam_args": "[]"}}


def on_server(settings: Settings, folder: Path) -> Pipeline:
    read(settings, folder / "dag.yaml")
    return Pipeline(folder / "dag.yaml", SECRETS)


@pytest.mark.parametrize(
    ("decision", "tasks", "pods"), [("train", ["prepare", "train", "release"], 11), ("done", ["prepare"], 7)]
)
def test_training_and_what_follows_it_are_left_out_where_nothing_is_to_be_trained(
    decision, tasks, pods, monkeypatch, tmp_path
):
    pipeline = on_server(load(monkeypatch), tmp_path)
    made = pipeline.pods(Run("a"), decision=decision)
    assert [pod.task for pod in made] == [*tasks, "end-run"]
    assert len(made) + pipeline.drivers <= pods


def test_what_prepare_decides_is_read_to_the_letter_from_where_the_launcher_looks(monkeypatch, tmp_path):
    pipeline = on_server(load(monkeypatch), tmp_path)
    first, *_ = pipeline.pods(Run("a"), decision="train\n")
    assert first.command[first.command.index("--decision") + 1] == "/tmp/kfp/outputs/decision"
    assert [pod.task for pod in pipeline.pods(Run("a"), decision="train\n")] == ["prepare", "end-run"]


def test_a_stage_that_decides_nothing_has_failed(monkeypatch, tmp_path):
    ran = []

    def execute(pod):
        ran.append(pod.task)
        return SUCCEEDED

    assert not on_server(load(monkeypatch, retries=0), tmp_path).start(Run("a"), execute)
    assert ran == ["prepare", "end-run"]


@PODS
@pytest.mark.parametrize("config", CONFIGS)
def test_every_task_of_every_configuration_gets_the_id_of_its_own_run_and_its_parameters(
    config, pods, monkeypatch, tmp_path
):
    settings = load(monkeypatch, config, pods=pods)
    pipeline = on_server(settings, tmp_path)
    changed = {"span": "3", "phase_1_epochs": 7, "phase_2_epochs": 0, "min_accuracy": 0.999, "force_retrain": True}
    for run_id, given in (("one", {}), ("other", changed)):
        made = pipeline.pods(Run(run_id, given), decision="train")
        assert len(made) == (len(compiled.upstream_nodes(settings)) if pods == "component" else 3) + 1
        assert {pod.command[pod.command.index("--run") + 1] for pod in made} == {run_id}
        (trainer,) = [pod for pod in made if pod.task in ("trainer", "train")]
        values = {name: str(value).lower() for name, value in (compiled.parameters(settings) | given).items()}
        assert trainer.command[6:] == [
            part for name, key in compiled.PARAMETERS.items() for part in ("--set", key, values[name])
        ]


def test_every_choice_of_settings_compiles_to_what_the_server_resolves(monkeypatch, tmp_path):
    for name, value in {
        "TUNING__TRIALS": "3",
        "EXPORTS": '["tflite_fp16", "tflite_int8"]',
        "BULK__FOLDER": "/mnt/graftline/new photos",
        "SERVING__TENSORFLOW_SERVING": "2.21.0",
        "CLUSTER__WEBHOOK": "https://hooks.example/1",
        "RUN__BEAM_ARGS": '["--runner=FlinkRunner"]',
        "CLUSTER__RETRIES": "0",
    }.items():
        monkeypatch.setenv(f"GRAFTLINE_{name}", value)
    tasks_of = [pod.task for pod in on_server(load(monkeypatch, pods="component"), tmp_path).pods(Run("a"))]
    assert {"tuner", "exporter", "bulk-inferrer", "serving-check", "end-run"} <= set(tasks_of)


INPUT = "{{$.inputs.parameters['run']}}"
ID = "{{$.pipeline_job_uuid}}"


def trainer_of(spec: dict) -> tuple[dict, dict]:
    """Returns the container that trains, and its task."""
    executor = spec["deploymentSpec"]["executors"]["exec-train"]["container"]
    return executor, tasks(spec)["train"]["inputs"]["parameters"]


def in_the_arguments(spec: dict) -> None:
    """As in revision 1e09f3b."""
    container, _ = trainer_of(spec)
    container["args"] = [ID if one == INPUT else one for one in container["args"]]


def in_the_environment(spec: dict) -> None:
    container, _ = trainer_of(spec)
    container["env"].append({"name": "RUN", "value": INPUT})


def in_part_of_a_constant(spec: dict) -> None:
    _, inputs = trainer_of(spec)
    inputs["run"]["runtimeValue"]["constant"] = f"run-{ID}"


def an_unknown_one(spec: dict) -> None:
    _, inputs = trainer_of(spec)
    inputs["run"]["runtimeValue"]["constant"] = "{{$.pipeline_job_id}}"


def an_input_that_is_not_given(spec: dict) -> None:
    _, inputs = trainer_of(spec)
    del inputs["run"]


def a_misspelt_input(spec: dict) -> None:
    container, _ = trainer_of(spec)
    container["args"] = [one.replace("'run'", "'rnu'") for one in container["args"]]


def a_parameter_that_the_pipeline_has_not(spec: dict) -> None:
    _, inputs = trainer_of(spec)
    inputs["span"]["componentInputParameter"] = "pipelinechannel--spam"


def of_another_type(spec: dict) -> None:
    _, inputs = trainer_of(spec)
    inputs["phase_1_epochs"] = {"runtimeValue": {"constant": "many"}}


def another_condition(spec: dict) -> None:
    (condition,) = [
        task["triggerPolicy"]
        for task in spec["components"]["comp-exit-handler-1"]["dag"]["tasks"].values()
        if "condition" in task.get("triggerPolicy", {})
    ]
    condition["condition"] = condition["condition"].replace("==", "!=")


def of_no_task(spec: dict) -> None:
    inputs = spec["components"]["comp-exit-handler-1"]["dag"]["tasks"]["condition-2"]["inputs"]["parameters"]
    inputs["pipelinechannel--prepare-decision"]["taskOutputParameter"]["producerTask"] = "prepared"


def in_the_image(spec: dict) -> None:
    container, _ = trainer_of(spec)
    container["image"] = "registry.example/graftline:{{$.inputs.parameters['tag']}}"


@pytest.mark.parametrize(
    "break_it",
    [
        in_the_arguments,
        in_the_environment,
        in_part_of_a_constant,
        an_unknown_one,
        an_input_that_is_not_given,
        a_misspelt_input,
        a_parameter_that_the_pipeline_has_not,
        of_another_type,
        in_the_image,
        another_condition,
        of_no_task,
    ],
    ids=lambda function: function.__name__,
)
def test_the_rules_refuse_what_the_server_would_not_resolve(break_it, monkeypatch, tmp_path):
    path = tmp_path / "dag.yaml"
    read(load(monkeypatch), path)
    spec, platform = yaml.safe_load_all(path.read_text())
    break_it(spec)
    path.write_text(yaml.safe_dump_all([spec, platform]))
    with pytest.raises(RefusedError, match=r"(train|condition-2): "):
        Pipeline(path, SECRETS).pods(Run("a"), decision="train")


@PODS
def test_every_try_has_all_the_time_that_it_may_take(pods, monkeypatch, tmp_path):
    pipeline, kubernetes = read(load(monkeypatch, pods=pods, retries=5, retry_seconds=600), tmp_path / "dag.yaml")
    for name, task in tasks(pipeline).items():
        limit = int(kubernetes[f"exec-{name}"]["activeDeadlineSeconds"])
        retry = task["retryPolicy"]
        waits = sum(600 * retry["backoffFactor"] ** number for number in range(5))
        assert int(retry["backoffMaxDuration"].removesuffix("s")) > 6 * limit + waits
        assert retry["backoffFactor"] == int(retry["backoffFactor"])


def test_what_may_be_secret_comes_from_a_secret_of_the_namespace(monkeypatch, tmp_path):
    monkeypatch.setenv("GRAFTLINE_RUN__BEAM_ARGS", '["--s3_secret_access_key=hidden"]')
    settings = load(monkeypatch, webhook="https://hooks.example/hidden")
    path = tmp_path / "dag.yaml"
    read(settings, path)
    assert "hidden" not in path.read_text()
    (trainer,) = [pod for pod in Pipeline(path, SECRETS).pods(Run("a"), decision="train") if pod.task == "train"]
    kept = SECRETS["graftline-settings"]
    assert trainer.env["GRAFTLINE_CLUSTER__WEBHOOK"] == kept["webhook"]
    assert trainer.env["GRAFTLINE_RUN__BEAM_ARGS"] == kept["beam_args"]
    without = SECRETS | {"graftline-settings": {"webhook": "https://a/b"}}
    with pytest.raises(RefusedError, match="no key beam_args in the Secret graftline-settings"):
        Pipeline(path, without).pods(Run("a"), decision="train")
    told = compiled.secrets_needed(settings)
    assert "hidden" not in told
    assert "create secret generic graftline-settings" in told
    assert '--from-literal=webhook="$GRAFTLINE_CLUSTER__WEBHOOK"' in told
    monkeypatch.delenv("GRAFTLINE_RUN__BEAM_ARGS")
    assert compiled.secrets_needed(load(monkeypatch)) == ""


@PODS
def test_every_pod_is_tried_again_limited_and_never_served_from_kubeflows_cache(pods, monkeypatch, tmp_path):
    pipeline, kubernetes = read(load(monkeypatch, pods=pods, retries=3, retry_seconds=7), tmp_path / "dag.yaml")
    for name, task in tasks(pipeline).items():
        assert task["retryPolicy"]["maxRetryCount"] == 3
        assert task["retryPolicy"]["backoffDuration"] == "7s"
        assert task["cachingOptions"] == {}
        resources = pipeline["deploymentSpec"]["executors"][f"exec-{name}"]["container"]["resources"]
        assert resources["resourceMemoryLimit"] == resources["resourceMemoryRequest"]
        assert int(kubernetes[f"exec-{name}"]["activeDeadlineSeconds"]) > 0


@pytest.mark.parametrize(("pods", "training"), [("stage", "exec-train"), ("component", "exec-trainer")])
def test_the_trainer_alone_is_placed_on_a_node_with_a_gpu(pods, training, monkeypatch, tmp_path):
    trainer = {"count": 2, "node_selector": {"pool": "gpus"}, "tolerations": [{"key": "gpu", "effect": "NoExecute"}]}
    pipeline, kubernetes = read(load(monkeypatch, pods=pods, trainer=trainer), tmp_path / "dag.yaml")
    for name, executor in pipeline["deploymentSpec"]["executors"].items():
        place = kubernetes[name]
        on_gpu = name == training
        assert ("accelerator" in executor["container"]["resources"]) == on_gpu
        assert ("nodeSelector" in place, "tolerations" in place) == (on_gpu, on_gpu)
        assert any(mount["mountPath"] == "/dev/shm" for mount in place["emptyDirMounts"]) == on_gpu
    accelerator = pipeline["deploymentSpec"]["executors"][training]["container"]["resources"]["accelerator"]
    assert (accelerator["resourceType"], accelerator["resourceCount"]) == ("nvidia.com/gpu", "2")
    assert kubernetes[training]["nodeSelector"] == {"labels": {"pool": "gpus"}}
    assert kubernetes[training]["tolerations"] == [{"key": "gpu", "operator": "Exists", "effect": "NoExecute"}]


def test_without_an_accelerator_the_trainer_is_a_pod_like_others(monkeypatch, tmp_path):
    pipeline, kubernetes = read(load(monkeypatch, trainer={"count": 0}), tmp_path / "dag.yaml")
    assert "accelerator" not in pipeline["deploymentSpec"]["executors"]["exec-train"]["container"]["resources"]
    assert "tolerations" not in kubernetes["exec-train"]


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


def test_photos_are_looked_for_on_the_volume_not_here(monkeypatch, tmp_path):
    values = {"name": "flowers", "data": {"dataset": "folder:photos/flowers"}, "gate": {"min_accuracy": 0.9}}
    monkeypatch.setenv(CONFIG_VARIABLE, json.dumps(values))
    settings = configuration.load(data_is_here=False)
    assert compiled.on_cluster(settings).data.source.folder == Path("/mnt/graftline/photos/flowers")


@pytest.mark.parametrize(
    ("given", "there"),
    [("photos/x.csv", "/mnt/graftline/photos/x.csv"), ("/mnt/graftline/x.csv", None), ("/home/x.csv", "")],
)
def test_a_table_of_classes_is_on_the_volume_as_the_folder_is(monkeypatch, given, there):
    data = {"dataset": "folder:photos/flowers", "labels": given}
    values = {"name": "flowers", "data": data, "gate": {"min_accuracy": 0.9}}
    monkeypatch.setenv(CONFIG_VARIABLE, json.dumps(values))
    settings = configuration.load(data_is_here=False)
    if there == "":
        with pytest.raises(UserError, match=r"data\.labels = '/home/x\.csv' is not on the volume: copy it there"):
            compiled.on_cluster(settings)
    else:
        assert compiled.on_cluster(settings).data.labels == Path(there or given)


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        (
            "DATA__DATASET",
            "folder:/home/me/digits",
            r"data.dataset = 'folder:/home/me/digits' is not on the volume: copy",
        ),
        ("MODEL__WEIGHTS", __file__, r"model.weights = '.*test_compile.py' is a file on this machine: give imagenet"),
        ("BULK__FOLDER", "/home/me/new", r"bulk.folder = '/home/me/new' is not on the volume: copy it there"),
        ("BULK__FOLDER", "new", r"bulk.folder = '.*/new' is not on the volume: copy it there, and give its path below"),
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
    with pytest.raises(UserError, match=r"cluster.image is not set: build and push one with `graftline kubeflow image"):
        compiled.compile_pipeline(load(monkeypatch, image=None), tmp_path / "dag.yaml")
    assert not list(tmp_path.iterdir())
