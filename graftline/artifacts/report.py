"""The report of a run, and the model's card."""

from tfx.types.artifact import Artifact


class ModelCard(Artifact):
    """The card of a model, as Markdown and as JSON."""

    TYPE_NAME = "ModelCard"


class RunReport(Artifact):
    """The report of a run: a page."""

    TYPE_NAME = "RunReport"
