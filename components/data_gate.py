"""DataGate: stops the run before Transform when the data is not what the schema says.

TFX's ExampleValidator only records anomalies; this component reads them and fails.
"""

from pathlib import Path

from tensorflow_metadata.proto.v0.anomalies_pb2 import Anomalies
from tfx.dsl.component.experimental.annotations import InputArtifact
from tfx.dsl.component.experimental.decorators import component
from tfx.types import artifact_utils, standard_artifacts

from settings import UserError


@component
def DataGate(  # noqa: N802 (a component is named as a class)
    anomalies: InputArtifact[standard_artifacts.ExampleAnomalies],
) -> None:
    """Fails when ExampleValidator found an anomaly in any split.

    Args:
      anomalies: what ExampleValidator found, a file a split.

    Raises:
      UserError: with each anomaly, its split and its feature.
    """
    found: list[str] = []
    for split in artifact_utils.decode_split_names(anomalies.split_names):
        path = Path(artifact_utils.get_split_uri([anomalies], split), "SchemaDiff.pb")
        found += describe(split, Anomalies.FromString(path.read_bytes()))
    if found:
        raise UserError(
            "\n  ".join(["The data is not what the schema says:", *found])
            + "\nMend the data, or review the schema in schemas/ (`make schema` infers one) where it is wrong."
        )


def describe(split: str, anomalies: Anomalies) -> list[str]:
    """Returns a line for each anomaly: split, feature, and what is wrong with it."""
    lines = [
        f"split {split}, feature {feature!r}: {info.short_description}: {info.description}"
        for feature, info in sorted(anomalies.anomaly_info.items())
    ]
    if anomalies.HasField("dataset_anomaly_info"):
        lines.append(f"split {split}: {anomalies.dataset_anomaly_info.description}")
    if anomalies.data_missing:
        lines.append(f"split {split}: there are no examples")
    return lines
