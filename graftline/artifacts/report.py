"""The report of a run, and the model's card."""

from tfx.types.artifact import Artifact


class RunReport(Artifact):
    """The report of a run: a page, and the model's card as Markdown and JSON."""

    TYPE_NAME = "RunReport"
