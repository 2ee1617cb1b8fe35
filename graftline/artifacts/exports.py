"""Smaller forms of a model: the artifact and its files."""

from tfx.types.artifact import Artifact

EXPORTS_FILE = "exports.json"


class Exports(Artifact):
    """Smaller forms of a model, and `exports.json` with the measurements of each."""

    TYPE_NAME = "Exports"
