"""A pipeline out of nodes, each with the identity of the code that it runs."""

import json
from pathlib import Path

from tfx.dsl.components.base.base_component import BaseComponent
from tfx.dsl.components.base.base_node import BaseNode
from tfx.orchestration.pipeline import Pipeline

from graftline.base.code import identity
from graftline.runs import store
from graftline.settings.settings import Settings

BEAM_ARGS = [
    # Named, because Beam's default runner would download another one
    "--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner",
    # Unused by that runner, but without it every Beam component packs the whole of TFX for a remote one first
    "--sdk_container_image=none",
]

USER_CODE = ("preprocessing_fn", "tuner_fn", "run_fn")  # properties that name a function by its import path
USER_MODULE = "module_path"  # one that names a module
CODE = "code"


def modules(node: BaseNode) -> set[str]:
    """Returns the modules that a node runs: of its component, executor and driver, and of the functions it is given."""
    if not isinstance(node, BaseComponent):
        return set()
    given = node.exec_properties
    classes = [type(node), node.driver_class]
    named = [node.executor_spec.class_path, *(given[name] for name in USER_CODE if given.get(name))]
    whole = [given[USER_MODULE]] if given.get(USER_MODULE) else []
    return {kind.__module__ for kind in classes if kind} | {path.rpartition(".")[0] for path in named} | set(whole)


def _names(node: BaseNode, path: Path) -> bool:
    """Tells whether a property of a node names a file, as it is or within JSON."""
    spelled = str(path), json.dumps(str(path))[1:-1]
    return any(spelling in str(value) for value in node.exec_properties.values() for spelling in spelled)


def beam_args(settings: Settings) -> list[str]:
    """Returns what Beam is given."""
    return [*BEAM_ARGS, *(argument.get_secret_value() for argument in settings.run.beam_args)]


def assemble(settings: Settings, nodes: list[BaseNode]) -> Pipeline:
    """Puts nodes into a pipeline with the settings' name, places and Beam arguments.

    TFX's cache knows nothing of code, nor of what is in a file that a property names, so each node gets the identity of its
    own: another one is another entry of the cache.
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
