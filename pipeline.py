"""The DAG: from a dataset's name to a pushed model.

Run as a program it runs on this machine: `python pipeline.py`, or through TFX's own command line,
`tfx pipeline create --engine=local --pipeline_path=pipeline.py` and `tfx run create --engine=local --pipeline_name=digits`.
`make run` does that. The configuration is chosen by GRAFTLINE_CONFIG, see `graftline/settings/load.py`.
"""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from graftline.base import console
from graftline.base.errors import UserError
from graftline.settings.load import command, load_or_exit
from graftline.settings.settings import Settings

if __name__ == "__main__":
    SETTINGS = load_or_exit()  # before TensorFlow is imported: mistakes are told in a second
    console.quiet(SETTINGS.run.log_level)

# Not `from tfx import v1`: that imports Vertex AI too, at every start
from tfx.components import ExampleValidator, StatisticsGen
from tfx.components.schema_gen.import_schema_gen.component import ImportSchemaGen
from tfx.dsl.components.base.base_node import BaseNode
from tfx.orchestration.pipeline import Pipeline
from tfx.types.channel import BaseChannel

from components.baseline.component import baseline_resolver, data_resolver
from components.data_gate.component import DataGate
from components.duplicates.component import Duplicates
from components.evaluator.component import Evaluator
from components.evaluator.config import eval_config
from components.example_gen.component import TfdsExampleGen
from components.pusher.component import Pusher
from components.report.component import ReportGen
from components.serving_check.component import serving_check
from components.trainer.component import trainer
from components.transform.component import transform
from graftline.artifacts.examples import TEST
from graftline.data import schema
from graftline.runs import local, store
from graftline.runs.dag import assemble
from graftline.training.config import custom_config


def create_pipeline(settings: Settings) -> Pipeline:
    """Returns the DAG.

    Args:
      settings: a valid configuration, whose dataset has a reviewed schema.

    Raises:
      UserError: where the dataset has no schema yet.
    """
    examples, statistics = data_nodes(settings)
    checks = checked_nodes(settings, examples, statistics)
    reviewed, _, copies, before, _, prepared = checks
    *tuners, trained = training_nodes(settings, examples, prepared)
    resolver = baseline_resolver(trained.outputs["model"])
    evaluator = Evaluator(
        examples=examples.outputs["examples"],
        model=trained.outputs["model"],
        baseline_model=resolver.outputs["model"],
        eval_config=eval_config(settings.gate, schema.num_classes(settings.schema_path)),
        example_splits=[TEST],
    )
    check = serving_check(trained.outputs["model"], examples.outputs["examples"], settings.serving)
    check.add_upstream_node(evaluator)
    exporters = export_nodes(settings, trained.outputs["model"], examples.outputs["examples"])
    exports = exporters[0].outputs["exports"] if exporters else None
    report = ReportGen(
        settings=settings.model_dump_json(exclude=store.SECRET),
        command=command(),
        push_to=str(settings.push_dir),
        examples=examples.outputs["examples"],
        statistics=statistics.outputs["statistics"],
        baseline_statistics=before.outputs["statistics"],
        schema=reviewed.outputs["schema"],
        duplicates=copies.outputs["report"],
        model=trained.outputs["model"],
        model_run=trained.outputs["model_run"],
        evaluation=evaluator.outputs["evaluation"],
        blessing=evaluator.outputs["blessing"],
        infra_blessing=check.outputs["blessing"],
        exports=exports,
    )
    push = Pusher(
        directory=settings.push_dir,
        keep_versions=settings.run.keep_versions,
        model=trained.outputs["model"],
        model_blessing=evaluator.outputs["blessing"],
        infra_blessing=check.outputs["blessing"],
        report=report.outputs["report"],
        exports=exports,
    )
    bulk = bulk_nodes(settings, trained.outputs["model"], evaluator.outputs["blessing"])
    nodes = [
        examples,
        statistics,
        *checks,
        *tuners,
        trained,
        resolver,
        evaluator,
        check,
        *exporters,
        report,
        push,
        *bulk,
    ]
    return assemble(settings, nodes)


def data_nodes(settings: Settings) -> tuple[TfdsExampleGen, StatisticsGen]:
    """Returns the nodes that read the dataset and count what is in it."""
    examples = TfdsExampleGen(data=settings.data)
    statistics = StatisticsGen(examples=examples.outputs["examples"], stats_options=schema.statistics_options())
    return examples, statistics


def checked_nodes(settings: Settings, examples: BaseNode, statistics: BaseNode) -> tuple[BaseNode, ...]:
    """Returns the nodes that check the data against its schema, and the Transform that waits for them.

    Raises:
      UserError: where the dataset has no schema yet.
    """
    if not settings.schema_path.is_file():
        raise UserError(
            f"There is no schema {settings.schema_path}: `make schema CONFIG=<this one>` infers one for you to review."
        )
    reviewed = _import_schema(settings.schema_path)
    validator = ExampleValidator(statistics=statistics.outputs["statistics"], schema=reviewed.outputs["schema"])
    report = Duplicates(examples=examples.outputs["examples"])
    before = data_resolver(statistics.outputs["statistics"])
    gate = DataGate(
        anomalies=validator.outputs["anomalies"],
        statistics=statistics.outputs["statistics"],
        schema=reviewed.outputs["schema"],
        report=report.outputs["report"],
        limits=settings.data_gate.model_dump_json(),
        baseline=before.outputs["statistics"],
    )
    prepared = transform(examples.outputs["examples"], reviewed.outputs["schema"], settings.model.image_size)
    prepared.add_upstream_node(gate)
    return reviewed, validator, report, before, gate, prepared


def training_nodes(settings: Settings, examples: BaseNode, transform: BaseNode) -> list[BaseNode]:
    """Returns the Trainer, after the Tuner where there is one."""
    given: dict[str, Any] = {
        "examples": examples.outputs["examples"],
        "transform_graph": transform.outputs["transform_graph"],
        "config": custom_config(settings.model, settings.prefix, settings.training, settings.work_dir),
    }
    if not settings.tuning.trials:
        return [trainer(**given)]
    from components.tuner.component import tuner

    search = tuner(**given, tuning=settings.tuning)
    return [search, trainer(**given, hyperparameters=search.outputs["best_hyperparameters"])]


def export_nodes(settings: Settings, model: BaseChannel, examples: BaseChannel) -> list[BaseNode]:
    """Returns the node that makes smaller forms of the model, where any are asked for."""
    if not settings.exports:
        return []
    from components.exporter.component import Exporter

    exporter = Exporter(
        model=model,
        examples=examples,
        names=json.dumps(settings.exports),
        max_drop=settings.gate.max_export_drop,
    )
    return [exporter]


def bulk_nodes(settings: Settings, model: BaseChannel, blessing: BaseChannel) -> list[BaseNode]:
    """Returns the nodes that classify photos without labels with a blessed model, where there are any."""
    if settings.bulk.folder is None:
        return []
    from components.bulk.component import PredictionsToTable, bulk_inferrer
    from components.example_gen.unlabelled import UnlabelledExampleGen

    photos = UnlabelledExampleGen(folder=str(settings.bulk.folder), max_pixels=settings.data.max_pixels)
    inferrer = bulk_inferrer(photos.outputs["examples"], model, blessing)
    table = PredictionsToTable(predictions=inferrer.outputs["inference_result"], model=model)
    return [photos, inferrer, table]


def _import_schema(path: Path) -> ImportSchemaGen:
    node = ImportSchemaGen(schema_file=str(path))
    # TFX's cache knows the path alone: without this an edited schema would be served as it was
    node.spec.exec_properties["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    return node


def data_pipeline(settings: Settings) -> Pipeline:
    """Returns the part of the DAG that reads the dataset and counts what is in it."""
    return assemble(settings, list(data_nodes(settings)))


if __name__ == "__main__":
    sys.exit(local.program(SETTINGS, create_pipeline, data_pipeline))
