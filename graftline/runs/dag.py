"""Makes a pipeline of nodes, each with the identity of the code that it runs."""

import json
from pathlib import Path

from tfx.dsl.components.base.base_component import BaseComponent
from tfx.dsl.components.base.base_node import BaseNode
from tfx.orchestration.pipeline import Pipeline

from graftline.base.code import identity
from graftline.runs import store
from graftline.settings.settings import Settings

BEAM_ARGS = [
    # Named explicitly, because Beam's default runner would download another one
    "--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner",
    # This runner ignores it, but without it every Beam component would first package all of TFX for a remote runner
    "--sdk_container_image=none",
]

USER_CODE = ("preprocessing_fn", "tuner_fn", "run_fn")  # properties that name a function by its import path
USER_MODULE = "module_path"  # property that names a module
CODE = "code"


def modules(node: BaseNode) -> set[str]:
    """Returns the modules that a node runs: those of its component, executor and driver, and of its user functions."""
    if not isinstance(node, BaseComponent):
        return set()
    given = node.exec_properties
    classes = [type(node), node.driver_class]
    named = [node.executor_spec.class_path, *(given[name] for name in USER_CODE if given.get(name))]
    whole = [given[USER_MODULE]] if given.get(USER_MODULE) else []
    return {kind.__module__ for kind in classes if kind} | {path.rpartition(".")[0] for path in named} | set(whole)


def _names(node: BaseNode, path: Path) -> bool:
    """Returns whether a property of a node names a file, as it is or within JSON."""
    spelled = str(path), json.dumps(str(path))[1:-1]
    return any(spelling in str(value) for value in node.exec_properties.values() for spelling in spelled)


def beam_args(settings: Settings) -> list[str]:
    """Returns the arguments for Beam."""
    return [*BEAM_ARGS, *(argument.get_secret_value() for argument in settings.run.beam_args)]


def assemble(settings: Settings, nodes: list[BaseNode]) -> Pipeline:
    """Puts nodes into a pipeline with the settings' name, folders and Beam arguments.

    TFX's cache knows neither the code of a node nor the contents of files that its properties name. So each node gets their
    identity as a property: if it changes, the cache has no entry for the node.
    """
    for node in nodes:
        if made_of := modules(node):
            files = [path for path in settings.files if _names(node, path)]
            node.exec_properties[CODE] = identity(*sorted(made_of), files=files)
    return Pipeline(
        pipeline_name=settings.name,
        pipeline_root=str(settings.pipeline_root),
        components=nodes,
        enable_cache=True,
        metadata_connection_config=store.connection(settings),
        beam_pipeline_args=beam_args(settings),
    )
