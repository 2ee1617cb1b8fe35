"""Compiles the DAG for Vertex AI Pipelines: `python -m kubeflow.vertex --root gs://BUCKET/FOLDER [--output FILE]`.

TFX's KubeflowV2DagRunner writes a PipelineJob as JSON, which the Vertex AI SDK submits. It is an export: compiled and
checked against its schema, never run on Vertex AI. There its nodes would fail, for TFX hands them artifacts at `gs://`, and
components of this project open artifacts as local files. What they need besides artifacts (photos, TFDS sets, work
directory, served models) is below /gcs/BUCKET/FOLDER, where Vertex AI mounts the bucket.

Vertex AI keeps the metadata, and runs none of this project's drivers and resolvers. So in the export

- the baseline of a candidate is the model that was blessed last, whether it is still in production or not;
- the data gate looks for no drift: the last statistics may be those of data that it refused;
- there is no report, and no card beside a model, for the driver of ReportGen reads how the model came to be;
- nothing is cached, for the driver of TfdsExampleGen would have to tell whether the data has changed;
- types of artifacts of this project are TFX's File, for TFX's entry point knows none but its own;
- settings are fixed, and there are no run parameters, retries, time limits, tolerations or reports of the end.
"""

import argparse
import json
import re
from pathlib import Path

import console
from settings import PREFIX, PROJECT, Settings, UserError

if __name__ == "__main__":
    console.quiet("error")

from kfp.pipeline_spec.pipeline_spec_pb2 import PipelineDeploymentConfig
from kubernetes.utils.quantity import parse_quantity
from tfx.components.schema_gen.import_schema_gen.component import ImportSchemaGen
from tfx.dsl.components.base.base_component import BaseComponent
from tfx.dsl.components.base.base_node import BaseNode
from tfx.dsl.components.common import resolver
from tfx.dsl.context_managers import dsl_context_registry
from tfx.dsl.input_resolution.strategies.latest_blessed_model_strategy import LatestBlessedModelStrategy
from tfx.orchestration.kubeflow.v2 import compiler_utils
from tfx.orchestration.kubeflow.v2.kubeflow_v2_dag_runner import KubeflowV2DagRunner, KubeflowV2DagRunnerConfig
from tfx.orchestration.pipeline import Pipeline
from tfx.types import standard_artifacts
from tfx.types.channel import Channel
from tfx.types.experimental import simple_artifacts
from tfx.utils import name_utils

from components import baseline
from components.report.component import ReportGen
from kubeflow.compile import command_line, image, legal_name, on_cluster
from pipeline import create_pipeline
from runner import TRAINER

ROOT = re.compile(r"gs://([a-z0-9][a-z0-9._-]+[a-z0-9](/[^/\s]+)*)/?")
BUCKETS = Path("/gcs")  # where Vertex AI mounts them
IN_IMAGE = Path("/app")  # this project, in the image
ACCELERATOR = re.compile(r"[A-Z][A-Z0-9_]+")
ResourceSpec = PipelineDeploymentConfig.PipelineContainerSpec.ResourceSpec


def compile_pipeline(settings: Settings, path: Path, root: str) -> Path:
    """Writes the DAG as a PipelineJob in JSON.

    Args:
      settings: a configuration with `cluster.image`.
      path: where the JSON is written.
      root: where artifacts are kept: `gs://`, a bucket and a folder.

    Returns:
      The path.

    Raises:
      UserError: where the root is none, no image is given, the dataset has no schema, or Vertex AI lacks what is set.
    """
    reference, settings = image(settings), _on_vertex(settings, root)
    dag = create_pipeline(settings)
    nodes = _with_known_resolvers(dag)
    for node in nodes:
        if isinstance(node, BaseComponent):
            _fit(node, settings)
    # Neither cached, see above, nor with Beam's arguments, which the components have had since the first pipeline
    exported = Pipeline(
        pipeline_name=legal_name(settings.name),
        pipeline_root=root.rstrip("/"),
        components=nodes,
        dsl_context_registry=dag.dsl_context_registry,
    )
    config = KubeflowV2DagRunnerConfig(display_name=settings.name, default_image=reference)
    job = KubeflowV2DagRunner(config).run(exported, write_out=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}")
    aside.write_text(json.dumps(job, indent=2, sort_keys=True))
    return aside.replace(path)


def _on_vertex(settings: Settings, root: str) -> Settings:
    """Returns the settings with everything in the bucket.

    Raises:
      UserError: where Vertex AI lacks what is set.
    """
    found = ROOT.fullmatch(root)
    if not found:
        raise UserError(f"--root {root!r} is no place in a bucket: give one such as gs://my-bucket/graftline.")
    cluster = settings.cluster.model_copy(update={"mount": BUCKETS / found[1]})
    settings = on_cluster(settings.model_copy(update={"cluster": cluster}))
    serving = settings.serving
    if cluster.trainer.count and not ACCELERATOR.fullmatch(cluster.trainer.type):
        raise UserError(
            f"cluster.trainer.type = {cluster.trainer.type!r} is no accelerator of Vertex AI: set "
            f"{PREFIX}CLUSTER__TRAINER__TYPE to one such as NVIDIA_TESLA_T4, or {PREFIX}CLUSTER__TRAINER__COUNT to 0."
        )
    if serving.tensorflow_serving:
        raise UserError(
            f"serving.tensorflow_serving = {serving.tensorflow_serving!r}: TFX cannot compile its InfraValidator for Vertex "
            "AI; leave it unset to check the model in a process."
        )
    return settings


def _with_known_resolvers(dag: Pipeline) -> list[BaseNode]:
    """Returns the nodes without the report, with TFX's own resolver of a baseline, and with none of the data's."""
    nodes = []
    for node in dag.components:
        strategy = node.exec_properties.get(resolver.RESOLVER_STRATEGY_CLASS)
        if strategy is baseline.ProductionDataStrategy or isinstance(node, ReportGen):
            _replace(node, None)
        elif strategy is baseline.ProductionStrategy:
            with dsl_context_registry.use_registry(dag.dsl_context_registry):
                blessed = resolver.Resolver(
                    strategy_class=LatestBlessedModelStrategy,
                    model=Channel(type=standard_artifacts.Model),
                    model_blessing=Channel(type=standard_artifacts.ModelBlessing),
                ).with_id(node.id)
            _replace(node, blessed)
            nodes.append(blessed)
        else:
            nodes.append(node)
    return nodes


def _replace(old: BaseNode, new: BaseNode | None) -> None:
    """Gives the nodes downstream the outputs of another node, or none."""
    for node in list(old.upstream_nodes):
        node.remove_downstream_node(old)
    for node in list(old.downstream_nodes):
        old.remove_downstream_node(node)
        for name, channel in list(node.inputs.items()):
            if channel in old.outputs.values():
                del node.inputs[name]
                if new:
                    node.inputs[name] = new.outputs[channel.output_key]


def _fit(node: BaseComponent, settings: Settings) -> None:
    """Gives a component its machine, types that TFX's entry point can read, and paths of the image."""
    cluster = settings.cluster
    resources = cluster.trainer.resources if node.id == TRAINER else cluster.resources
    limits = ResourceSpec(
        cpu_limit=float(parse_quantity(resources.cpu)), memory_limit=float(parse_quantity(resources.memory)) / 1e9
    )
    if node.id == TRAINER and cluster.trainer.count:
        limits.accelerator.type, limits.accelerator.count = cluster.trainer.type, cluster.trainer.count
    node.with_platform_config(limits)
    for channel in node.outputs.values():
        if name_utils.get_full_name(channel.type) not in compiler_utils.TITLE_TO_CLASS_PATH.values():
            channel.type = simple_artifacts.File
    if isinstance(node, ImportSchemaGen):
        schema = IN_IMAGE / settings.schema_path.relative_to(PROJECT)
        node.spec.exec_properties["schema_file"] = str(schema)


def main() -> None:
    """Compiles the configuration that GRAFTLINE_CONFIG names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", default="", help="where Vertex AI keeps artifacts, such as gs://my-bucket/graftline")
    command_line(parser, "vertex.json", compile_pipeline)


if __name__ == "__main__":
    main()
