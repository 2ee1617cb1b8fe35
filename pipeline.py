"""The DAG: from a dataset's name to a pushed model.

As a program, it runs on this machine: `python pipeline.py`, or through TFX's own command line,
`tfx pipeline create --engine=local --pipeline_path=pipeline.py` and `tfx run create --engine=local --pipeline_name=digits`.
`graftline run` does the same. GRAFTLINE_CONFIG chooses the configuration, see `graftline/settings/load.py`.
"""

import sys

from graftline.base import console, stop

if __name__ == "__main__":
    stop.leave_when_asked()  # until the imports below are done

from graftline.settings.load import load_or_exit
from graftline.settings.settings import Settings

if __name__ == "__main__":
    SETTINGS = load_or_exit()  # before TensorFlow is imported, to report mistakes within a second
    console.quiet(SETTINGS.run.log_level)

# Not from `tfx.v1` or `tfx.components` as a whole, which would import everything in TFX at every start
from tfx.components.example_validator.component import ExampleValidator
from tfx.components.schema_gen.import_schema_gen.component import ImportSchemaGen
from tfx.components.statistics_gen.component import StatisticsGen
from tfx.orchestration.pipeline import Pipeline

from components.baseline.component import data_resolver
from components.bulk.component import bulk_inferrer, predictions_to_table
from components.data_gate.component import data_gate
from components.duplicates.component import Duplicates
from components.evaluator.component import Evaluator
from components.example_gen.component import TfdsExampleGen
from components.example_gen.unlabelled import unlabelled_example_gen
from components.exporter.component import exporter
from components.pusher.component import Pusher
from components.report.card_gen import CardGen
from components.report.component import ReportGen
from components.serving_check.component import serving_check
from components.trainer.component import trainer
from components.transform.component import transform
from components.tuner.component import tuner
from graftline.data.schema import statistics_options
from graftline.runs import local
from graftline.runs.dag import assemble
from graftline.training.config import custom_config


def create_pipeline(settings: Settings) -> Pipeline:
    """Returns the DAG.

    Args:
      settings: a valid configuration, whose dataset has a reviewed schema.

    Raises:
      UserError: if the dataset has no schema yet.
    """
    # Prepare: read and inspect the images, stop if they do not match the schema
    example_gen, statistics_gen = reading(settings)
    examples, statistics = example_gen.outputs["examples"], statistics_gen.outputs["statistics"]
    schema_gen = ImportSchemaGen(str(settings.reviewed_schema))
    schema = schema_gen.outputs["schema"]
    validator = ExampleValidator(statistics, schema)
    duplicates = Duplicates(examples=examples)
    production_data = data_resolver(statistics, settings.push_dir)
    gate = data_gate(
        validator.outputs["anomalies"],
        statistics,
        schema,
        duplicates.outputs["report"],
        production_data.outputs["statistics"],
        settings.data_gate,
        settings.accepted_data,
        settings.reviewed_schema,
    )
    prepared = transform(examples, schema, settings.model, settings.data.max_pixels)
    prepared.add_upstream_node(gate)
    prepare = [example_gen, statistics_gen, schema_gen, validator, duplicates, production_data, gate, prepared]

    # Train: the head on the frozen backbone, then the upper layers
    graph, train, best = prepared.outputs["transform_graph"], [], None
    config = custom_config(settings.model, settings.prefix, settings.training, settings.work_dir)
    if settings.tuning.trials:
        search = tuner(examples, graph, config, settings.tuning)
        train, best = [search], search.outputs["best_hyperparameters"]
    training = trainer(examples, graph, config, best)
    train.append(training)
    model = training.outputs["model"]

    # Release: measure, decide, try to serve, report, publish
    found = duplicates.outputs["report"]
    evaluator = Evaluator(examples, found, model, training.outputs["model_run"], settings.gate, settings.push_dir)
    blessing = evaluator.outputs["blessing"]
    check = serving_check(model, examples, settings.serving)
    check.add_upstream_node(evaluator)
    release, exports = [evaluator, check], None
    if settings.exports:
        export = exporter(model, examples, settings.exports, settings.gate.max_export_drop)
        release, exports = [*release, export], export.outputs["exports"]
    told = {
        "examples": examples,
        "duplicates": found,
        "review": gate.outputs["review"],
        "model": model,
        "model_run": training.outputs["model_run"],
        "evaluation": evaluator.outputs["evaluation"],
        "blessing": blessing,
        "infra_blessing": check.outputs["blessing"],
        "exports": exports,
    }
    card = CardGen(settings, **told)
    pusher = Pusher(
        settings.push_dir,
        settings.run.keep_versions,
        model=model,
        model_blessing=blessing,
        infra_blessing=check.outputs["blessing"],
        card=card.outputs["card"],
        exports=exports,
    )
    report = ReportGen(settings, baseline_statistics=production_data.outputs["statistics"], **told)
    report.add_upstream_node(pusher)
    release += [card, pusher, report]
    if settings.bulk.folder:
        photos = unlabelled_example_gen(settings.bulk.folder, settings.data.max_pixels)
        classified = bulk_inferrer(photos.outputs["examples"], model, blessing)
        release += [photos, classified, predictions_to_table(classified.outputs["inference_result"], model)]
    return assemble(settings, [*prepare, *train, *release])


def reading(settings: Settings) -> tuple[TfdsExampleGen, StatisticsGen]:
    """Returns the nodes that read the dataset and count what is in it: all that is needed to infer a schema."""
    examples = TfdsExampleGen(settings.data)
    return examples, StatisticsGen(examples.outputs["examples"], stats_options=statistics_options())


if __name__ == "__main__":
    STATUS = local.program(SETTINGS, create_pipeline, reading)
    stop.leave_if_stopped(STATUS)
    sys.exit(STATUS)
