"""DataGate: stops the run before Transform if data validation fails.

TFX's ExampleValidator only records anomalies. This component reads them, compares the data with what the model in production
was trained on, checks the duplicates, and fails. What is merely unusual is printed and reported. If the data is right after
all, a person accepts exactly this data (`graftline accept-data`), and the next run continues.
"""

from pathlib import Path

import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2
from tensorflow_metadata.proto.v0.anomalies_pb2 import Anomalies
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.dsl.components.base.base_node import BaseNode
from tfx.types import artifact_utils, standard_artifacts
from tfx.types.channel import BaseChannel
from tfx.utils import io_utils

from graftline.artifacts import data_review, duplicates
from graftline.artifacts.examples import LABEL_NAME, TRAIN
from graftline.base import console
from graftline.base.errors import UserError
from graftline.data.drift import class_counts, describe, drift, lost_classes, train_statistics
from graftline.settings import data

SHOWN = 3  # examples in a message


@component
def DataGate(  # noqa: N802 (a component is named as a class)
    anomalies: InputArtifact[standard_artifacts.ExampleAnomalies],
    statistics: InputArtifact[standard_artifacts.ExampleStatistics],
    schema: InputArtifact[standard_artifacts.Schema],
    report: InputArtifact[duplicates.DuplicatesReport],
    review: OutputArtifact[data_review.DataReview],
    limits: Parameter[str],
    accepted: Parameter[str],
    schema_file: Parameter[str],
    baseline: InputArtifact[standard_artifacts.ExampleStatistics] = None,
) -> None:
    """Fails if the data violates the schema, a class lost too many images, or there are too many copies.

    Args:
      anomalies: what ExampleValidator found, one file per split.
      statistics: statistics of the current data.
      schema: the reviewed schema; its drift comparators define what is unusual, and how much a class may lose.
      report: what Duplicates found.
      review: what is unusual, and what was accepted.
      limits: the section `data_gate` of the settings as JSON.
      accepted: the file that lists accepted data.
      schema_file: the file that the schema is from, which a person can change.
      baseline: statistics of the data that the model in production was trained on; None if there are none.

    Raises:
      UserError: with everything that is wrong, one line each, and the fix.
    """
    reviewed = io_utils.SchemaReader().read(io_utils.get_only_uri_in_dir(schema.uri))
    train = train_statistics(statistics)
    faults = missing_classes(train, reviewed)
    for split in artifact_utils.decode_split_names(anomalies.split_names):
        path = Path(artifact_utils.get_split_uri([anomalies], split), "SchemaDiff.pb")
        faults += describe(f"split {split}", Anomalies.FromString(path.read_bytes()))
    unusual, doubts = _against(train, train_statistics(baseline), reviewed) if baseline is not None else ([], [])
    doubts += copies(duplicates.read(report.uri), data.DataGate.model_validate_json(limits))
    acceptance = data_review.accepted(Path(accepted), data_review.identity(statistics.uri)) if doubts else None
    if faults or (doubts and not acceptance):
        raise UserError(_refusal(faults, doubts, schema_file))
    for line in unusual:
        console.line(f"Unusual {line}")
    data_review.write(review.uri, data_review.Review(unusual, doubts, acceptance))


def _against(
    train: statistics_pb2.DatasetFeatureStatisticsList,
    baseline: statistics_pb2.DatasetFeatureStatisticsList,
    schema: schema_pb2.Schema,
) -> tuple[list[str], list[str]]:
    """Returns what is unusual compared with the data of the model in production, and what speaks against the data."""
    allowed = tfdv.get_feature(schema, LABEL_NAME).drift_comparator.infinity_norm.threshold
    return drift(train, baseline, schema), lost_classes(class_counts(train), class_counts(baseline), allowed)


def _refusal(faults: list[str], doubts: list[str], schema_file: str) -> str:
    text = "\n  ".join(["Data validation failed:", *faults, *doubts])
    text += f"\nFix the data. If it is right, change the schema {schema_file}, or data_gate in the configuration"
    return f"{text}." if faults else f'{text}, or accept exactly this data: `graftline accept-data --reason "…"`.'


def data_gate(
    anomalies: BaseChannel,
    statistics: BaseChannel,
    schema: BaseChannel,
    duplicates_report: BaseChannel,
    baseline: BaseChannel,
    limits: data.DataGate,
    accepted: Path,
    schema_file: Path,
) -> BaseNode:
    """Returns the node; arguments as for `DataGate`."""
    return DataGate(
        anomalies=anomalies,
        statistics=statistics,
        schema=schema,
        report=duplicates_report,
        limits=limits.model_dump_json(),
        accepted=str(accepted),
        schema_file=str(schema_file),
        baseline=baseline,
    )


def missing_classes(statistics: statistics_pb2.DatasetFeatureStatisticsList, schema: schema_pb2.Schema) -> list[str]:
    """Returns a line if classes of the schema have no images to train on."""
    expected = list(tfdv.get_feature(schema, LABEL_NAME).string_domain.value)
    present = class_counts(statistics)
    missing = [name for name in expected if name not in present]
    return [f"split {TRAIN}: no image has class {', '.join(missing)}, which is in the schema"] if missing else []


def copies(report: duplicates.Report, limits: data.DataGate) -> list[str]:
    """Returns a line for each kind of copy that exceeds its limit."""
    labels = [", ".join(f"{name!r} is {label}" for name, label in one.items()) for one in report.contradictions]
    copied = [", ".join(map(repr, names)) for names in report.copied]
    alike = [" and ".join(f"{name!r} in {split}" for split, name in pair.items()) for pair in report.alike]
    kinds = [
        (len(labels), report.images, "appear under several labels", "max_contradictions", labels),
        (report.copies, report.images, "are copies", "max_duplicates", copied),
        (
            report.leaked,
            report.held_out,
            "of validation and test look like an image of another split",
            "max_near_duplicates",
            alike,
        ),
    ]
    return [
        f"{count:,} of {total:,} images {what}, more than data_gate.{name} = {limit:g} allows: {_some(examples)}"
        for count, total, what, name, examples in kinds
        if count > (limit := getattr(limits, name)) * total
    ]


def _some(items: list[str]) -> str:
    return "; ".join([*items[:SHOWN], *["…"] * (len(items) > SHOWN)])
