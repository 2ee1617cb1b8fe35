"""How Kubeflow Pipelines turns a compiled pipeline into pods: the rules of its driver, its launcher and Argo Workflows.

Based on the source of Kubeflow Pipelines 2.17.0 (paths below `backend/src/v2`) and of Argo Workflows v4.0.5, which it
pins; each rule names its place there. This module refuses what they refuse, and what they would let through unresolved.
`kfp.local` cannot replace them, because it replaces placeholders wherever they are.
"""

import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import yaml

PLACEHOLDER = re.compile(r"\{\{\$\.inputs\.parameters\['(.+?)'\]\}\}")  # driver/util.go:46
CONDITION = re.compile(
    r"inputs\.parameter_values\['(.+?)'\]\s*==\s*'(.*)'", re.DOTALL
)  # the only form of CEL that the compiler writes
CHANNEL = re.compile(r"\$.inputs.parameters\['(.+?)'\]")  # driver/util.go:42
WORKSPACE = "{{$.workspace_path}}"
TYPES: dict[str, type | tuple[type, ...]] = {
    "STRING": str,
    "BOOLEAN": bool,
    "NUMBER_DOUBLE": (int, float),
    "NUMBER_INTEGER": (int, float),
    "LIST": list,
    "STRUCT": dict,
}
OUTPUTS = "/tmp/kfp/outputs"  # driver/driver.go:796
MISSING = "\0"  # the value of an output parameter whose file was not written
MOST_BYTES = 128 * 1024  # Linux' limit for one argument of a process: the driver gets a container as one argument
SUCCEEDED, FAILED, ERROR = "Succeeded", "Failed", "Error"  # phases of a pod in Argo Workflows
# Which phases Argo retries, by retryPolicy: operator.go:1099-1128; standalone 2.17.0 sets OnError by default
# (manifests/kustomize/third-party/argo/base/workflow-controller-configmap-patch.yaml), others leave Argo's own, OnFailure
RETRIED = {"OnError": {ERROR}, "OnFailure": {FAILED}, "Always": {FAILED, ERROR}}


class RefusedError(Exception):
    """The server, its driver or its launcher would refuse this, or let it through unresolved."""


@dataclass(frozen=True)
class Run:
    """What the server knows about a run.

    Attributes:
      id: the run's id.
      parameters: the given ones, by name.
      name: its displayed name.
      resource: the name of its workflow.
      time: when it was created, and when it was scheduled.
    """

    id: str
    parameters: dict[str, Any] = field(default_factory=dict)
    name: str = "digits 1"
    resource: str = "digits-5g7kn"
    time: str = "2026-11-25T03:45:17Z"

    def constants(self, task: str) -> dict[str, str]:
        """Returns the values of placeholders, for constants that are only a placeholder (driver/resolve.go:422-454)."""
        return {
            "{{$.pipeline_job_name}}": self.name,
            "{{$.pipeline_job_resource_name}}": self.resource,
            "{{$.pipeline_job_uuid}}": self.id,
            "{{$.pipeline_task_name}}": task,
            "{{$.pipeline_task_uuid}}": "7",  # the id of the parent's execution in Kubeflow's own metadata store
            "{{$.pipeline_job_create_time_utc}}": self.time,
            "{{$.pipeline_job_schedule_time_utc}}": self.time,
        }


@dataclass(frozen=True)
class Pod:
    """One try of a task, resolved.

    Attributes:
      task: its name.
      command: the command with its arguments.
      env: environment variables, including those from Secrets.
      image: the image that it runs.
      resources: requests and limits, and the accelerator.
      attempt: its number, from 0.
      outputs: output parameters by name; once the container has run, with what it has written to their files.
    """

    task: str
    command: list[str]
    env: dict[str, str]
    image: str
    resources: dict[str, Any]
    attempt: int = 0
    outputs: dict[str, str] = field(default_factory=dict)


class Pipeline:
    """A compiled pipeline, as the server has it after an upload.

    Args:
      path: the YAML.
      secrets: the Secrets of the namespace, each with its keys; a pod that needs a missing one is refused.

    Attributes:
      drivers: number of driver pods in all runs: one for each DAG, condition and task that was reached.
    """

    def __init__(self, path: Path, secrets: dict[str, dict[str, str]]) -> None:
        self._spec, platform = yaml.safe_load_all(path.read_text())
        self._kubernetes = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
        self._secrets = secrets
        self.drivers = 0

    def pods(self, run: Run, **outputs: str) -> list[Pod]:
        """Returns the pods of a run in which nothing fails, in an order that its dependencies allow.

        Args:
          run: what the server knows about it.
          **outputs: what pods write to the files of their output parameters, by name.
        """
        made: list[Pod] = []

        def execute(pod: Pod) -> str:
            made.append(pod)
            pod.outputs.update({name: outputs[name] for name in pod.outputs})
            return SUCCEEDED

        self.start(run, execute)
        return made

    def start(self, run: Run, execute: Callable[[Pod], str], policy: str = "OnError", seconds: float = 1) -> bool:
        """Runs the pipeline, and returns whether it succeeded.

        Args:
          run: what the server knows about it.
          execute: runs a pod, and returns its phase.
          policy: Argo's retryPolicy, which the compiled pipeline cannot choose.
          seconds: how long one second of a backoff takes here.

        Raises:
          RefusedError: if something cannot be resolved.
        """
        root = self._spec["root"]
        inputs = _checked_run(root.get("inputDefinitions", {}).get("parameters", {}), run.parameters)

        def attempts(pod: Pod, task: dict[str, Any]) -> Pod | None:
            return _attempts(pod, task, execute, policy, seconds)

        return self._dag(root["dag"]["tasks"], inputs, run, attempts)

    def _dag(self, tasks: dict[str, Any], outer: dict[str, Any], run: Run, attempts: Callable[..., Pod | None]) -> bool:
        """Runs tasks in order; a task whose dependencies failed is skipped, unless it is the end of an exit handler."""
        self.drivers += 1
        ended: dict[str, bool] = {}
        written: dict[str, dict[str, str]] = {}
        order = TopologicalSorter({name: task.get("dependentTasks", []) for name, task in tasks.items()}).static_order()
        for name in order:
            task, component = tasks[name], self._spec["components"][tasks[name]["componentRef"]["name"]]
            # argocompiler/dag.go: the end is a hook of the exit handler's DAG, and runs whatever the DAG's outcome is
            last = task.get("triggerPolicy", {}).get("strategy") == "ALL_UPSTREAM_TASKS_COMPLETED"
            if not last and not all(ended[before] for before in task.get("dependentTasks", [])):
                ended[name] = False
                continue
            inputs = resolved_inputs(name, task, component, outer, run, written)
            if not _is_triggered(name, task, inputs):
                # argocompiler/dag.go:278: Argo skips what the driver did not trigger, and that is not a failure
                self.drivers += 1
                ended[name] = True
            elif "dag" in component:
                ended[name] = self._dag(component["dag"]["tasks"], inputs, run, attempts)
            else:
                self.drivers += 1
                pod = attempts(self._pod(name, component, inputs), task)
                ended[name], written[name] = pod is not None, pod.outputs if pod else {}
        return all(ended.values())

    def _pod(self, name: str, component: dict[str, Any], inputs: dict[str, Any]) -> Pod:
        label = component["executorLabel"]
        pod = resolved_pod(name, component, self._spec["deploymentSpec"]["executors"][label]["container"], inputs)
        return replace(pod, env=pod.env | self._from_secrets(name, label))

    def _from_secrets(self, name: str, label: str) -> dict[str, str]:
        """Returns the variables that Kubernetes takes from Secrets; a pod never starts without those that it needs."""
        found = {}
        for secret in self._kubernetes.get(label, {}).get("secretAsEnv", []):
            kept = self._secrets.get(secret["secretName"], {})
            for pair in secret["keyToEnv"]:
                if pair["secretKey"] in kept:
                    found[pair["envVar"]] = kept[pair["secretKey"]]
                elif not secret.get("optional"):
                    raise RefusedError(
                        f"{name}: there is no key {pair['secretKey']} in the Secret {secret['secretName']}"
                    )
        return found


def _is_triggered(name: str, task: dict[str, Any], inputs: dict[str, Any]) -> bool:
    """Returns whether the driver lets a task run (driver/dag.go:84-90, expression/expression.go:134)."""
    condition = task.get("triggerPolicy", {}).get("condition")
    if not condition:
        return True
    match = CONDITION.fullmatch(condition)
    if not match or match[1] not in inputs:
        raise RefusedError(f"{name}: these rules do not know the condition {condition!r}")
    return bool(inputs[match[1]] == match[2])


def _attempts(pod: Pod, task: dict[str, Any], execute: Callable[[Pod], str], policy: str, seconds: float) -> Pod | None:
    """Runs a task's pod, and retries it as Argo does (operator.go:1018-1150); returns the one that succeeded."""
    retry = task.get("retryPolicy", {})
    factor, longest = retry.get("backoffFactor", 0), _seconds(retry.get("backoffMaxDuration", "0s"))
    if factor != int(factor):
        raise RefusedError(f"{pod.task}: Argo takes only whole numbers as a factor, not {factor}")
    started = time.monotonic()
    while (phase := _collected(pod, execute(pod))) != SUCCEEDED:
        wait = _seconds(retry.get("backoffDuration", "0s")) * factor**pod.attempt
        late = longest and (time.monotonic() - started) / seconds + wait > longest
        if late or phase not in RETRIED[policy] or pod.attempt >= retry.get("maxRetryCount", 0):
            return None
        time.sleep(wait * seconds)
        pod = replace(pod, attempt=pod.attempt + 1, outputs=dict.fromkeys(pod.outputs, MISSING))
    return pod


def _collected(pod: Pod, phase: str) -> str:
    """Returns the phase of a pod, whose launcher fails if an output parameter was not written (launcher_v2.go:504)."""
    return FAILED if phase == SUCCEEDED and MISSING in pod.outputs.values() else phase


def resolved_pod(name: str, component: dict[str, Any], container: dict[str, Any], inputs: dict[str, Any]) -> Pod:
    """Returns the pod of a task, without the contents of Secrets.

    Args:
      name: the task's name.
      component: its specification.
      container: its compiled container.
      inputs: the task's inputs, resolved.

    Raises:
      RefusedError: if the driver would fail, or a placeholder is left.
    """
    if len(json.dumps(container)) >= MOST_BYTES:
        raise RefusedError(
            f"{name}: its container has {len(json.dumps(container)):,} bytes, but {MOST_BYTES:,} are too many"
        )
    # driver/driver.go:309-319: the driver resolves command and arguments; the launcher is their first process, and
    # resolves what is left in the arguments. component/launcher_v2.go:1051-1074: in its command only {{$}}
    command, *arguments = [
        *_by_driver(name, container.get("command", []), inputs),
        *_by_driver(name, container.get("args", []), inputs),
    ]
    whole = {"{{$}}": json.dumps({"inputs": {"parameterValues": inputs}})}
    left = whole | _left_to_launcher(component, inputs)
    # driver/driver.go:290-293: environment values are taken as they are
    env = {variable["name"]: variable["value"] for variable in container.get("env", [])}
    resources = {key: _by_first_input(name, value, inputs) for key, value in _leaves(container.get("resources", {}))}
    image = _by_first_input(name, container["image"], inputs)
    words = [_replaced(command, whole), *(_replaced(argument, left) for argument in arguments)]
    for text in (*words, *env.values(), image, *map(str, resources.values())):
        if "{{$" in text:
            raise RefusedError(f"{name}: {text!r} is left unresolved")
    outputs = dict.fromkeys(component.get("outputDefinitions", {}).get("parameters", {}), MISSING)
    return Pod(name, words, env, image, resources, outputs=outputs)


def _checked_run(known: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Returns the parameters of a run with their defaults (apiserver/template/v2_template.go:442-530)."""
    for name in given.keys() - known.keys():
        raise RefusedError(f"the pipeline has no parameter {name!r}")
    for name, spec in known.items():
        if name not in given and "defaultValue" not in spec and not spec.get("isOptional"):
            raise RefusedError(
                f"parameter {name!r} is not optional, yet has neither default value nor user provided value"
            )
        if name in given and not _is_of(spec["parameterType"], given[name]):
            raise RefusedError(f"input parameter {name!r} requires type {spec['parameterType']}, not {given[name]!r}")
    return {name: spec["defaultValue"] for name, spec in known.items() if "defaultValue" in spec} | given


def resolved_inputs(
    name: str,
    task: dict[str, Any],
    component: dict[str, Any],
    outer: dict[str, Any],
    run: Run,
    written: dict[str, dict[str, str]] | None = None,
) -> dict[str, Any]:
    """Returns the inputs of a task, with the types that its component declares (driver/resolve.go:102-365).

    Args:
      name: the task's name.
      task: its specification.
      component: the specification of its component.
      outer: inputs of the DAG that the task is in.
      run: what the server knows about the run.
      written: output parameters of the tasks of the same DAG that have succeeded, by name.

    Raises:
      RefusedError: if the driver would fail.
    """
    given = {}
    for key, source in task.get("inputs", {}).get("parameters", {}).items():
        if "componentInputParameter" in source:
            if source["componentInputParameter"] not in outer:
                raise RefusedError(
                    f"{name}: parent DAG does not have input parameter {source['componentInputParameter']}"
                )
            given[key] = outer[source["componentInputParameter"]]
        elif "taskOutputParameter" in source:
            given[key] = _output(name, source["taskOutputParameter"], written or {})
        elif "runtimeValue" in source:
            given[key] = _constant(source["runtimeValue"]["constant"], run.constants(name))
        else:
            raise RefusedError(f"{name}: {key} comes from {', '.join(source)}, which these rules do not know")
    for key, spec in component.get("inputDefinitions", {}).get("parameters", {}).items():
        if key not in given:
            if spec.get("isOptional"):
                continue
            raise RefusedError(f"{name}: neither value nor default value provided for non-optional parameter {key!r}")
        if spec["parameterType"] == "STRING":
            given[key] = _text_of(given[key])
        elif not _is_of(spec["parameterType"], given[key]):
            raise RefusedError(f"{name}: input parameter {key!r} type mismatch: expect {spec['parameterType']}")
    return given


def _output(name: str, source: dict[str, str], written: dict[str, dict[str, str]]) -> str:
    """Returns what another task wrote (driver/resolve.go:577-617): one of the same DAG, because others are not found."""
    producer, key = source["producerTask"], source["outputParameterKey"]
    if key not in written.get(producer, {}):
        raise RefusedError(f"{name}: producer task, {producer}, not in tasks, or without {key}")
    return written[producer][key]


def _constant(value: Any, known: dict[str, str]) -> Any:
    """Replaces a constant that is only a placeholder; the workspace's path also inside (resolve.go:422-454)."""
    if not isinstance(value, str):
        return value
    if WORKSPACE in value:
        return value.replace(WORKSPACE, "/kfp-workspace")
    return known.get(value, value)


def _is_of(kind: str, value: Any) -> bool:
    return isinstance(value, TYPES[kind]) and (kind == "BOOLEAN" or not isinstance(value, bool))


def _text_of(value: Any) -> str:
    """Returns a value as text (driver/util.go:138-165): whole numbers without a point, true and false, others as JSON."""
    if isinstance(value, str):
        return value
    return json.dumps(int(value) if isinstance(value, float) and value == int(value) else value)


def _by_driver(task: str, texts: list[str], inputs: dict[str, Any]) -> Iterator[str]:
    """Yields command or arguments with inputs filled in; the launcher fills in outputs (driver/util.go:263-290)."""
    for text in texts:
        for name in () if "$.outputs" in text else PLACEHOLDER.findall(text):
            if name not in inputs:
                raise RefusedError(f"{task}: parameter {name!r} not found in executor input, for {text!r}")
        yield text if "$.outputs" in text else PLACEHOLDER.sub(lambda match: _text_of(inputs[match[1]]), text)


def _left_to_launcher(component: dict[str, Any], inputs: dict[str, Any]) -> dict[str, str]:
    """Returns what the launcher replaces in arguments (component/launcher_v2.go:1076-1172), except artifacts."""
    known = {f"{{{{$.inputs.parameters['{name}']}}}}": _text_of(value) for name, value in inputs.items()}
    outputs = component.get("outputDefinitions", {}).get("parameters", {})
    return known | {f"{{{{$.outputs.parameters['{name}'].output_file}}}}": f"{OUTPUTS}/{name}" for name in outputs}


def _replaced(text: str, values: dict[str, str]) -> str:
    for placeholder, value in values.items():
        text = text.replace(placeholder, value)
    return text


def _by_first_input(name: str, value: Any, inputs: dict[str, Any]) -> Any:
    """Returns an image or resource: the first input that it names replaces all of it (driver/resolve.go:806-831)."""
    channel = CHANNEL.search(value) if isinstance(value, str) else None
    if channel is None:
        return value
    if channel[1] not in inputs:
        raise RefusedError(f"{name}: executorInput did not contain container Image input parameter {channel[1]!r}")
    return inputs[channel[1]] if isinstance(inputs[channel[1]], str) else ""


def _leaves(values: dict[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def _seconds(duration: str) -> int:
    return int(duration.removesuffix("s"))
