"""The DAG: from a dataset's name to a pushed model.

Run as a program it runs on this machine: `python pipeline.py`, or through TFX's own command line,
`tfx pipeline create --engine=local --pipeline_path=pipeline.py` and `tfx run create --engine=local --pipeline_name=digits`.
`make run` does that. The configuration is chosen by GRAFTLINE_CONFIG, see configuration.py.
"""

import errno
import hashlib
import json
import math
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import configuration
import console
import work
from settings import PROJECT, Settings, UserError

if __name__ == "__main__":
    SETTINGS = configuration.load_or_exit()  # before TensorFlow is imported: mistakes are told in a second
    console.quiet(SETTINGS.run.log_level)

# Not `from tfx import v1`: that imports Vertex AI too, at every start
from tfx.components import ExampleValidator, StatisticsGen, Trainer, Transform
from tfx.components.schema_gen.import_schema_gen.component import ImportSchemaGen
from tfx.dsl.components.base import executor_spec
from tfx.dsl.components.base.base_node import BaseNode
from tfx.orchestration.pipeline import Pipeline
from tfx.proto.trainer_pb2 import EvalArgs, TrainArgs
from tfx.proto.transform_pb2 import SplitsConfig
from tfx.types.channel import BaseChannel

import store
from components import baseline, evaluation, schema
from components.data_gate import DataGate
from components.duplicates import Duplicates
from components.evaluation import Evaluator
from components.example_gen import TfdsExampleGen
from components.features import SPLITS, TEST, TRAIN, VALIDATION
from components.pusher import Pusher
from components.report.component import ReportGen
from components.serving_check import WARM_UPS, ServingCheck
from components.trainer import TrainerExecutor

BEAM_ARGS = [
    # Named, because Beam's default runner would download another one
    "--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner",
    # Unused by that runner, but without it every Beam component packs the whole of TFX for a remote one first
    "--sdk_container_image=none",
]

TRAINER_MODULES = (
    "trainer",
    "phases",
    "callbacks",
    "workers",
    "checkpoints",
    "feature_pass",
    "feature_cache",
    "device_cache",
    "prefix_engine",
    "backbone",
    "arithmetic",
    "records",
    "serving",
    "weights",
)

REPORT_MODULES = ("report", "evaluation", "duplicates", "data_gate", "feature_cache", "records", "features")


def create_pipeline(settings: Settings) -> Pipeline:
    """Returns the DAG.

    Args:
      settings: a valid configuration, whose dataset has a reviewed schema.

    Raises:
      UserError: where the dataset has no schema yet.
    """
    examples, statistics = data_nodes(settings)
    checks = checked_nodes(settings, examples, statistics)
    reviewed, _, copies, before, _, transform = checks
    *tuners, trainer = training_nodes(settings, examples, transform)
    resolver = baseline.baseline_resolver(trainer.outputs["model"])
    evaluator = Evaluator(
        examples=examples.outputs["examples"],
        model=trainer.outputs["model"],
        baseline_model=resolver.outputs["model"],
        eval_config=evaluation.eval_config(settings.gate, schema.num_classes(settings.schema_path)),
        example_splits=[TEST],
        code=_code("evaluation", "extractors"),
    )
    check = _serving_check(settings, trainer.outputs["model"], examples.outputs["examples"])
    check.add_upstream_node(evaluator)
    exporters = export_nodes(settings, trainer.outputs["model"], examples.outputs["examples"])
    exports = exporters[0].outputs["exports"] if exporters else None
    report = ReportGen(
        settings=settings.model_dump_json(exclude=store.SECRET),
        command=configuration.command(),
        push_to=str(settings.push_dir),
        code=_code(*REPORT_MODULES),
        examples=examples.outputs["examples"],
        statistics=statistics.outputs["statistics"],
        baseline_statistics=before.outputs["statistics"],
        schema=reviewed.outputs["schema"],
        duplicates=copies.outputs["report"],
        model=trainer.outputs["model"],
        model_run=trainer.outputs["model_run"],
        evaluation=evaluator.outputs["evaluation"],
        blessing=evaluator.outputs["blessing"],
        infra_blessing=check.outputs["blessing"],
        exports=exports,
    )
    push = Pusher(
        directory=settings.push_dir,
        keep_versions=settings.run.keep_versions,
        code=_code("pusher", "publishing"),
        model=trainer.outputs["model"],
        model_blessing=evaluator.outputs["blessing"],
        infra_blessing=check.outputs["blessing"],
        report=report.outputs["report"],
        exports=exports,
    )
    bulk = bulk_nodes(settings, trainer.outputs["model"], evaluator.outputs["blessing"])
    nodes = [
        examples,
        statistics,
        *checks,
        *tuners,
        trainer,
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
    code = _code("example_gen", "pictures", "decoding", "datasets", "digits", "features", "records")
    examples = TfdsExampleGen(data=settings.data, code=code)
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
    report = Duplicates(examples=examples.outputs["examples"], code=_code("duplicates", "records", "features"))
    before = baseline.data_resolver(statistics.outputs["statistics"])
    gate = DataGate(
        anomalies=validator.outputs["anomalies"],
        statistics=statistics.outputs["statistics"],
        schema=reviewed.outputs["schema"],
        report=report.outputs["report"],
        limits=settings.data_gate.model_dump_json(),
        code=_code("data_gate"),
        baseline=before.outputs["statistics"],
    )
    transform = Transform(
        examples=examples.outputs["examples"],
        schema=reviewed.outputs["schema"],
        preprocessing_fn="components.preprocessing.preprocessing_fn",
        custom_config={"image_size": settings.model.image_size, "code": _code("preprocessing")},
        splits_config=SplitsConfig(analyze=[TRAIN], transform=list(SPLITS)),
        materialize=False,  # float32 pictures are 30 times the size of the encoded ones
        disable_statistics=True,
    )
    transform.add_upstream_node(gate)
    return reviewed, validator, report, before, gate, transform


def _serving_check(settings: Settings, model: BaseChannel, examples: BaseChannel) -> BaseNode:
    """Returns the node that asks the exported model before it is pushed: in a fresh process, or in TensorFlow Serving."""
    tag = settings.serving.tensorflow_serving
    if tag is None:
        code = _code("serving_check", "serving_probe", "records")
        return ServingCheck(model=model, examples=examples, limits=settings.serving.model_dump_json(), code=code)
    from tfx.components import InfraValidator
    from tfx.proto import infra_validator_pb2 as spec

    return InfraValidator(
        model=model,
        examples=examples,
        serving_spec=spec.ServingSpec(
            tensorflow_serving=spec.TensorFlowServing(tags=[tag]), kubernetes=spec.KubernetesConfig()
        ),
        request_spec=spec.RequestSpec(
            tensorflow_serving=spec.TensorFlowServingRequestSpec(signature_names=["serving_default"]),
            split_name=TEST,
            num_examples=WARM_UPS,
            make_warmup=True,
        ),
        validation_spec=spec.ValidationSpec(max_loading_time_seconds=math.ceil(settings.serving.max_load_seconds)),
    )


def training_nodes(settings: Settings, examples: BaseNode, transform: BaseNode) -> list[BaseNode]:
    """Returns the Trainer, after the Tuner where there is one."""
    config = {
        "model": settings.model.model_dump(mode="json"),
        "prefix": settings.prefix.model_dump(mode="json"),
        "training": settings.training.model_dump(mode="json"),
        "work_dir": str(settings.work_dir),
        "code": _code(*TRAINER_MODULES),
    }
    tuners = tuning_nodes(settings, examples, transform, config)
    trainer = Trainer(
        run_fn="components.trainer.run_fn",
        examples=examples.outputs["examples"],
        transform_graph=transform.outputs["transform_graph"],
        hyperparameters=tuners[0].outputs["best_hyperparameters"] if tuners else None,
        train_args=TrainArgs(splits=[TRAIN]),
        eval_args=EvalArgs(splits=[VALIDATION]),
        custom_config=config,
        custom_executor_spec=executor_spec.ExecutorClassSpec(TrainerExecutor),
    )
    return [*tuners, trainer]


def tuning_nodes(settings: Settings, examples: BaseNode, transform: BaseNode, config: dict[str, Any]) -> list[BaseNode]:
    """Returns the node that searches what the Trainer is then given, where trials are asked for."""
    if not settings.tuning.trials:
        return []
    from tfx.components import Tuner

    tuning = {"tuning": settings.tuning.model_dump(mode="json"), "code": _code("tuner", *TRAINER_MODULES)}
    tuner = Tuner(
        examples=examples.outputs["examples"],
        transform_graph=transform.outputs["transform_graph"],
        tuner_fn="components.tuner.tuner_fn",
        train_args=TrainArgs(splits=[TRAIN]),
        eval_args=EvalArgs(splits=[VALIDATION]),
        custom_config=config | tuning,
    )
    return [tuner]


def export_nodes(settings: Settings, model: BaseChannel, examples: BaseChannel) -> list[BaseNode]:
    """Returns the node that makes smaller forms of the model, where any are asked for."""
    if not settings.exports:
        return []
    from components.exporter import Exporter

    exporter = Exporter(
        model=model,
        examples=examples,
        names=json.dumps(settings.exports),
        max_drop=settings.gate.max_export_drop,
        code=_code("exporter", "features", "records"),
    )
    return [exporter]


def bulk_nodes(settings: Settings, model: BaseChannel, blessing: BaseChannel) -> list[BaseNode]:
    """Returns the nodes that classify photos without labels with a blessed model, where there are any."""
    if settings.bulk.folder is None:
        return []
    from components.bulk import PredictionsToTable, UnlabelledExampleGen, bulk_inferrer

    code = _code("bulk", "pictures", "decoding", "predictions")
    photos = UnlabelledExampleGen(folder=str(settings.bulk.folder), max_pixels=settings.data.max_pixels, code=code)
    inferrer = bulk_inferrer(photos.outputs["examples"], model, blessing)
    table = PredictionsToTable(predictions=inferrer.outputs["inference_result"], model=model, code=code)
    return [photos, inferrer, table]


def assemble(settings: Settings, nodes: list[BaseNode]) -> Pipeline:
    """Puts nodes into a pipeline with the settings' name, places and Beam arguments."""
    return Pipeline(
        pipeline_name=settings.name,
        pipeline_root=str(settings.pipeline_root),
        components=nodes,
        enable_cache=True,
        metadata_connection_config=store.connection(settings),
        beam_pipeline_args=[*BEAM_ARGS, *(argument.get_secret_value() for argument in settings.run.beam_args)],
    )


def _import_schema(path: Path) -> ImportSchemaGen:
    node = ImportSchemaGen(schema_file=str(path))
    # TFX's cache knows the path alone: without this an edited schema would be served as it was
    node.spec.exec_properties["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    return node


def _code(*modules: str) -> str:
    """Returns a hash of component modules or packages, for TFX's cache does not see code that is given by import path."""
    places = [PROJECT / "components" / module for module in modules]
    sources = [path for place in places for path in _sources(place)]
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()


def _sources(place: Path) -> list[Path]:
    """Returns the files of a module, or of a package with its templates."""
    if not place.is_dir():
        return [place.with_suffix(".py")]
    return sorted(path for path in place.rglob("*") if path.is_file() and "__pycache__" not in path.parts)


def disk_is_full(error: BaseException | None) -> bool:
    """Returns whether an error, or what caused it, is that a disk is full; Beam and TensorFlow wrap it in their own."""
    while error is not None:
        if os.strerror(errno.ENOSPC) in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def fullest(settings: Settings) -> tuple[int, Path]:
    """Returns the free bytes of the fullest disk that a run writes to, and the run's folder on it."""
    folders = [
        folder for folder in (settings.run.root, settings.run.serving_dir, settings.data.data_dir) if folder.exists()
    ]
    return min((shutil.disk_usage(folder).free, folder) for folder in folders)


def main(settings: Settings) -> None:
    """Runs the pipeline on this machine and prints the summary.

    Raises:
      UserError: where it holds what only a cluster can run, or a node refuses its input.
    """
    if settings.serving.tensorflow_serving:
        raise UserError(
            f"serving.tensorflow_serving = {settings.serving.tensorflow_serving!r}: TensorFlow Serving is started on a "
            "cluster alone; leave it unset to check the model in a process on this machine."
        )
    import summary
    from runner import LocalRunner

    if settings.data_gate.infer_schema and not settings.schema_path.is_file():
        from infer_schema import infer_schema

        infer_schema(settings)
    run_id = LocalRunner(settings).run(create_pipeline(settings))
    if run_id is None:  # `tfx pipeline create` only looks at the DAG
        return
    work.prune(settings.work_dir, settings.run.keep_work_dirs)
    summary.show(settings, summary.read(settings, run_id))


if __name__ == "__main__":
    work.stop_when_asked()
    try:
        main(SETTINGS)
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(1)
    except Exception as error:
        if not disk_is_full(error):
            raise
        free, folder = fullest(SETTINGS)
        print(
            f"No space is left on the disk of {folder} ({free / 1e6:.1f} MB are free): free some and run again; what was "
            "finished is kept.",
            file=sys.stderr,
        )
        sys.exit(1)
    except KeyboardInterrupt:
        print("Stopped. The same command goes on from where it was.", file=sys.stderr)
        sys.exit(130)
