"""The table of predictions of photos without labels."""

from tfx.types.artifact import Artifact

TABLE_FILE = "predictions.csv"


class PredictionsTable(Artifact):
    """`predictions.csv`: path, label and probability of each image, as `graftline predict --csv` writes them."""

    TYPE_NAME = "PredictionsTable"
