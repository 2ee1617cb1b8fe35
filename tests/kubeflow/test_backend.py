"""Compares the tests' rules of the server with what a real server made of the digits' pipeline.

The recording is of Kubeflow Pipelines 2.17.0 with Argo Workflows 4.0.5: the workflow after its run, with what drivers got
and made. It is not part of the project; without it, the comparison is skipped.
"""

import json
import re
from pathlib import Path

import pytest
import yaml

from graftline.base.paths import PROJECT
from tests.kubeflow.backend import ERROR, FAILED, SUCCEEDED, Pipeline, RefusedError, Run, resolved_inputs, resolved_pod

RECORDING = PROJECT.parent / "shared/data/kubeflow/digits-workflow.yaml"
OUTER = {"span": "latest", "phase_1_epochs": 5, "phase_2_epochs": 6, "min_accuracy": 0.95, "force_retrain": True}
ECHO = {"image": "debian:13", "command": ["echo"]}
TEXT = {"parameterType": "STRING"}


def recorded() -> dict[str, tuple[dict, dict]]:
    """Returns what the driver of each task received, and the container that it made."""
    if not RECORDING.is_file():
        return {}
    nodes = yaml.load(RECORDING.read_text(), yaml.CSafeLoader)["status"]["nodes"].values()
    found = {}
    for node in nodes:
        made = {one["name"]: one["value"] for one in node.get("outputs", {}).get("parameters", [])}
        if "pod-spec-patch" in made:
            given = {one["name"]: one.get("value", "") for one in node["inputs"]["parameters"]}
            found[given["task-name"]] = given, json.loads(made["pod-spec-patch"])["containers"][0]
    return found


def run_of(container: dict) -> str:
    return container["command"][container["command"].index("--run_id") + 1]


@pytest.mark.skipif(not RECORDING.is_file(), reason=f"no recording of a real server at {RECORDING}")
def test_every_pod_of_a_real_server_is_what_these_rules_make_of_its_task():
    found = recorded()
    assert len(found) == 15
    for name, (given, container) in found.items():
        component, task, compiled = (json.loads(given[key]) for key in ("component", "task", "container"))
        outer = {f"pipelinechannel--{key}": value for key, value in OUTER.items()}
        inputs = resolved_inputs(name, task, component, outer, Run(run_of(container)))
        pod = resolved_pod(name, component, compiled, inputs)
        assert pod.command == container["args"]
        assert pod.image == container["image"]
        assert pod.env == {one["name"]: one["value"] for one in container["env"] if "value" in one}


def resolve(value: object, kind: str = "STRING") -> object:
    """Returns what a task with one input of this type gets for a constant."""
    task = {"inputs": {"parameters": {"x": {"runtimeValue": {"constant": value}}}}}
    component = {"inputDefinitions": {"parameters": {"x": {"parameterType": kind}}}}
    return resolved_inputs("task", task, component, {}, Run("the-run"))["x"]


def arguments(*args: str, **inputs: object) -> list[str]:
    component = {"inputDefinitions": {"parameters": dict.fromkeys(inputs, TEXT)}}
    return resolved_pod("task", component, ECHO | {"args": list(args)}, inputs).command[1:]


@pytest.mark.parametrize(
    ("constant", "resolved"),
    [
        ("{{$.pipeline_job_uuid}}", "the-run"),
        ("run {{$.pipeline_job_uuid}}", "run {{$.pipeline_job_uuid}}"),
        ("{{$.pipeline_task_name}}", "task"),
        ("{{$.pipeline_job_id}}", "{{$.pipeline_job_id}}"),
        ("{{$.workspace_path}}/a", "/kfp-workspace/a"),
        (5.0, "5"),
        (0.95, "0.95"),
        (True, "true"),
    ],
)
def test_a_constant_is_replaced_where_the_whole_of_it_is_a_placeholder(constant, resolved):
    assert resolve(constant) == resolved


@pytest.mark.parametrize(
    ("kind", "value"), [("NUMBER_INTEGER", "5"), ("BOOLEAN", 1), ("NUMBER_DOUBLE", True), ("BOOLEAN", "true")]
)
def test_other_types_than_the_inputs_are_refused(kind, value):
    with pytest.raises(RefusedError, match=f"type mismatch: expect {kind}"):
        resolve(value, kind)


def test_numbers_and_truths_arrive_as_the_driver_writes_them():
    given = {"a": 5.0, "b": 0.95, "c": True, "d": "as it is"}
    assert arguments(*(f"{{{{$.inputs.parameters['{name}']}}}}" for name in given), **given) == [
        "5",
        "0.95",
        "true",
        "as it is",
    ]
    assert arguments("--a={{$.inputs.parameters['a']}}!", a="1") == ["--a=1!"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{$.inputs.parameters['y']}}", "parameter 'y' not found in executor input"),
        ("{{$.pipeline_job_uuid}}", "is left unresolved"),
        ("{{$.outputs.parameters['y'].output_file}}", "is left unresolved"),
    ],
)
def test_what_is_left_in_an_argument_is_refused(text, message):
    with pytest.raises(RefusedError, match=re.escape(message)):
        arguments(text, x="1")


def test_a_container_that_is_too_large_for_an_argument_is_refused():
    with pytest.raises(RefusedError, match="are too many"):
        arguments("x" * 128 * 1024)


def compiled(folder: Path, task: dict, **more: object) -> Pipeline:
    """Returns a pipeline with one task and `more` tasks, inside an exit handler."""
    end = {
        "componentRef": {"name": "end"},
        "dependentTasks": ["inner"],
        "triggerPolicy": {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"},
    }
    inner = {"say": {"componentRef": {"name": "say"}, **task}, **more}
    spec = {
        "root": {"dag": {"tasks": {"inner": {"componentRef": {"name": "inner"}}, "end": end}}},
        "components": {
            "inner": {"dag": {"tasks": inner}},
            **{key: {"executorLabel": "echo"} for key in ("say", "end")},
        },
        "deploymentSpec": {"executors": {"echo": {"container": ECHO}}},
    }
    platform: dict = {"platforms": {"kubernetes": {"deploymentSpec": {"executors": {}}}}}
    path = folder / "pipeline.yaml"
    path.write_text(yaml.safe_dump_all([spec, platform]))
    return Pipeline(path, {})


RETRY = {"maxRetryCount": 2, "backoffDuration": "10s", "backoffFactor": 2.0, "backoffMaxDuration": "1000s"}


def tries(pipeline: Pipeline, phase: str, policy: str) -> list[tuple[str, int]]:
    """Returns the pods of a run in which one task ends in this phase at each try."""
    made: list[tuple[str, int]] = []

    def execute(pod):
        made.append((pod.task, pod.attempt))
        return phase if pod.task == "say" else SUCCEEDED

    assert not pipeline.start(Run("r"), execute, policy, seconds=0.001)
    return made


@pytest.mark.parametrize(
    ("policy", "phase", "count"),
    [
        ("OnError", ERROR, 3),
        ("OnError", FAILED, 1),
        ("OnFailure", FAILED, 3),
        ("OnFailure", ERROR, 1),
        ("Always", ERROR, 3),
        ("Always", FAILED, 3),
    ],
)
def test_what_is_tried_again_depends_on_the_installation(policy, phase, count, tmp_path):
    after = {"componentRef": {"name": "say"}, "dependentTasks": ["say"]}
    pipeline = compiled(tmp_path, {"retryPolicy": RETRY}, after=after)
    assert tries(pipeline, phase, policy) == [("say", attempt) for attempt in range(count)] + [("end", 0)]


def test_nothing_is_tried_again_after_the_longest_duration_from_the_start_of_the_first_try(tmp_path):
    pipeline = compiled(tmp_path, {"retryPolicy": RETRY | {"backoffMaxDuration": "15s"}})
    assert tries(pipeline, FAILED, "Always") == [("say", 0), ("say", 1), ("end", 0)]
