"""Compiles the DAG for Kubeflow Pipelines: `python -m kubeflow.compile [--output FILE]`.

Each task is one container, in which TFX's own launcher runs nodes of `create_pipeline(settings)`. By default tasks are the
stages (`kubeflow/run_stage.py`); training and what follows it are left out if there is nothing to train. If `cluster.pods`
is `component`, tasks are the nodes (`kubeflow/run_node.py`), which wait for each other as everywhere else. TFX's
`KubeflowV2DagRunner` cannot be used, because open-source Kubeflow Pipelines refuses its output. Kubeflow's cache is off,
because TFX's own cache decides what runs again.
"""

import argparse
import inspect
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from graftline.base import console
from graftline.base.errors import UserError
from graftline.base.paths import PROJECT
from graftline.settings.cluster import Resources
from graftline.settings.load import CONFIG_VARIABLE, load_or_exit
from graftline.settings.settings import Settings

if __name__ == "__main__":
    console.quiet("error")

from kfp import compiler, dsl, kubernetes
from kfp.dsl.pipeline_task import PipelineTask
from tfx.dsl.compiler.compiler import Compiler

from graftline.runs.stages import PREPARE, RELEASE, TRAIN, TRAINER
from kubeflow import end_run
from kubeflow.pods import USER, configuration, image, on_cluster, secret_variables, secrets_needed
from pipeline import create_pipeline

# Run parameters and the settings that they change; the configuration gives their defaults
PARAMETERS = {
    "span": "data.span",
    "phase_1_epochs": "training.phase_1.epochs",
    "phase_2_epochs": "training.phase_2.epochs",
    "min_accuracy": "gate.min_accuracy",
    "force_retrain": "run.force_retrain",
}
DECISION = "decision"  # the output in which the first stage says what follows
BACKOFF_FACTOR = 2  # a whole number, because Argo Workflows does not accept fractions
WAITING_MINUTES = 24 * 60  # for a free machine, over all tries of a task
END_MINUTES = 10


def compile_pipeline(settings: Settings, path: Path) -> Path:
    """Writes the DAG as YAML that Kubeflow Pipelines 2 runs.

    Args:
      settings: a configuration with `cluster.image`.
      path: where to write the YAML file.

    Returns:
      The path.

    Raises:
      UserError: if no image is configured, or the dataset has no schema.
    """
    reference, upstream = image(settings), upstream_nodes(on_cluster(settings))
    defaults = parameters(settings)

    def dag(*values: Any) -> None:
        given = dict(zip(defaults, values, strict=True))
        end = _task(settings, reference, end_run.NAME, ["end_run"], {})
        _limits(end, Resources(minutes=END_MINUTES))
        with dsl.ExitHandler(end):
            if settings.cluster.pods == "stage":
                _stages(settings, reference, given)
            else:
                _components(settings, reference, given, upstream)

    name = legal_name(settings.name)
    types = {name: type(value) for name, value in defaults.items()}
    defined = dsl.pipeline(name=name, description=f"Graftline: {settings.data.dataset}")(_signed(dag, types, defaults))
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}")
    compiler.Compiler().compile(defined, str(aside))
    return aside.replace(path)


def parameters(settings: Settings) -> dict[str, Any]:
    """Returns the run parameters with their defaults."""
    values = {}
    for name, key in PARAMETERS.items():
        value: Any = settings
        for part in key.split("."):
            value = getattr(value, part)
        values[name] = value
    return values


def legal_name(name: str) -> str:
    """Returns a name in the form that Argo allows: `tfds-example-gen` for `TfdsExampleGen`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+", "-", name).strip("-").lower()


def upstream_nodes(settings: Settings) -> dict[str, list[str]]:
    """Returns the nodes in topological order, each with the nodes that it waits for."""
    nodes = [node.pipeline_node for node in Compiler().compile(create_pipeline(settings)).nodes]
    return {node.node_info.id: list(node.upstream_nodes) for node in nodes}


def _signed(
    function: Callable[..., Any], types: dict[str, Any], defaults: dict[str, Any] | None = None
) -> Callable[..., Any]:
    """Gives a function the signature from which KFP reads names, types and defaults."""
    kind, none = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.empty
    signature = [
        inspect.Parameter(name, kind, annotation=annotation, default=(defaults or {}).get(name, none))
        for name, annotation in types.items()
    ]
    function.__signature__ = inspect.Signature(signature)  # type: ignore[attr-defined]
    return function


def _stages(settings: Settings, reference: str, changes: dict[str, Any]) -> None:
    """Makes a task for each stage; training and what follows it run only if the first stage decides so."""
    prepare = _stage(settings, reference, PREPARE, changes)
    with dsl.If(prepare.outputs[DECISION] == TRAIN, name=TRAIN):
        train = _stage(settings, reference, TRAIN, changes)
        _stage(settings, reference, RELEASE, changes).after(train)


def _stage(settings: Settings, reference: str, stage: str, changes: dict[str, Any]) -> PipelineTask:
    output = DECISION if stage == PREPARE else None
    task = _task(settings, reference, stage, ["run_stage", stage], changes, output)
    if stage == TRAIN:
        return _trainer(task, settings)
    resources = settings.cluster.resources
    return _worker(task, settings, resources.model_copy(update={"minutes": 2 * resources.minutes}))  # half for waiting


def _components(settings: Settings, reference: str, changes: dict[str, Any], upstream: dict[str, list[str]]) -> None:
    """Makes a task for each node, which waits for the nodes upstream of it."""
    tasks: dict[str, PipelineTask] = {}
    for node, before in upstream.items():
        task = _task(settings, reference, node, ["run_node", node], changes)
        tasks[node] = task.after(*(tasks[name] for name in before))
        if node == TRAINER:
            _trainer(task, settings)
        else:
            _worker(task, settings, settings.cluster.resources)


def _trainer(task: PipelineTask, settings: Settings) -> PipelineTask:
    _worker(task, settings, settings.cluster.trainer.resources)
    _place(task, settings)
    return task


def _worker(task: PipelineTask, settings: Settings, resources: Resources) -> PipelineTask:
    _try_again(task, settings, resources)
    _limits(task, resources)
    return task


def _try_again(task: PipelineTask, settings: Settings, resources: Resources) -> None:
    """Retries a failed task as often as configured, and gives each try its full time.

    The SDK's longest backoff is Argo Workflows' `maxDuration`: the time from the start of the first try, waits included,
    after which no try starts and a running one is ended (v4.0.5, workflow/controller/operator.go:1028-1095).
    """
    cluster = settings.cluster
    waits = sum(cluster.retry_seconds * BACKOFF_FACTOR**number for number in range(cluster.retries))
    seconds = ((cluster.retries + 1) * resources.minutes + WAITING_MINUTES) * 60 + waits
    task.set_retry(cluster.retries, f"{cluster.retry_seconds}s", BACKOFF_FACTOR, f"{seconds}s")


def _task(
    settings: Settings,
    reference: str,
    name: str,
    program: list[str],
    changes: dict[str, Any],
    output: str | None = None,
) -> PipelineTask:
    """Returns a task that runs one of the programs of `kubeflow/`, with its arguments and these run parameters.

    The run's id is an input of the task: the server replaces its placeholder only there. An output is text that the
    program writes to the file given by the argument of the same name.
    """

    def container(run: str, *values: Any) -> dsl.ContainerSpec:
        flags = [
            part for name, value in zip(changes, values, strict=False) for part in ("--set", PARAMETERS[name], value)
        ]
        written = [f"--{output}", values[-1]] if output else []
        return dsl.ContainerSpec(
            image=reference,
            command=["python", "-m", f"kubeflow.{program[0]}"],
            args=[*program[1:], "--run", run, *written, *flags],
        )

    container.__name__ = legal_name(name).replace("-", "_")
    types: dict[str, Any] = {"run": str} | {name: type(parameters(settings)[name]) for name in changes}
    if output:
        types[output] = dsl.OutputPath(str)
    component = dsl.container_component(_signed(container, types))
    task = component(run=dsl.PIPELINE_JOB_ID_PLACEHOLDER, **changes)
    task.set_display_name(name).set_caching_options(False)
    _surround(task, settings)
    return task


def _surround(task: PipelineTask, settings: Settings) -> None:
    """Gives a task its settings, its secrets, the shared volume and a place for temporary files."""
    cluster = settings.cluster
    task.set_env_variable(CONFIG_VARIABLE, configuration(settings))
    for secret, variables in secret_variables(settings):
        kubernetes.use_secret_as_env(task, secret, variables)
    kubernetes.mount_pvc(task, cluster.volume, str(cluster.mount))
    kubernetes.empty_dir_mount(task, volume_name="tmp", mount_path="/tmp")
    kubernetes.set_security_context(task, run_as_user=USER, run_as_group=USER, run_as_non_root=True)


def _limits(task: PipelineTask, resources: Resources) -> None:
    task.set_cpu_request(resources.cpu).set_memory_request(resources.memory).set_memory_limit(resources.memory)
    kubernetes.set_timeout(task, resources.minutes * 60)


def _place(task: PipelineTask, settings: Settings) -> None:
    """Puts the Trainer on a machine with accelerators if the configuration asks for some."""
    accelerator = settings.cluster.trainer
    if not accelerator.count:
        return
    task.set_accelerator_type(accelerator.type).set_accelerator_limit(accelerator.count)
    for key, value in accelerator.node_selector.items():
        kubernetes.add_node_selector(task, key, value)
    for toleration in accelerator.tolerations:
        kubernetes.add_toleration(
            task, key=toleration.key, operator=toleration.operator, value=toleration.value, effect=toleration.effect
        )
    kubernetes.empty_dir_mount(
        task, volume_name="shm", mount_path="/dev/shm", medium="Memory", size_limit=accelerator.shared_memory
    )


def main() -> None:
    """Compiles the configuration that GRAFTLINE_CONFIG names; a user error ends it with status 1 and a sentence."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, help="output/kubeflow/<name>.yaml by default")
    path = parser.parse_args().output
    settings = load_or_exit(data_is_here=False)
    try:
        path = compile_pipeline(settings, path or PROJECT / "output" / "kubeflow" / f"{settings.name}.yaml")
    except UserError as error:
        sys.exit(str(error))
    print(f"Compiled to {path}")
    if needed := secrets_needed(settings):
        print(needed)


if __name__ == "__main__":
    main()
