"""The report of a run, and the model card."""

from tfx.types.artifact import Artifact


class ModelCard(Artifact):
    """The model card, as Markdown and as JSON."""

    TYPE_NAME = "ModelCard"


class RunReport(Artifact):
    """The report of a run: an HTML page."""

    TYPE_NAME = "RunReport"
