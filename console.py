"""What a run prints: a line a component, a summary at the end. The one place that knows how things look."""

import logging
import os
import re
import warnings

from rich.console import Console
from rich.table import Table
from rich.text import Text

OUT = Console(highlight=False, soft_wrap=True)


# Warnings that TFX and TensorFlow give on every run, about their own insides
HARMLESS = re.compile(
    "property_predicate is not supported|ZetaSQL|saved prior to TF 2.5|is deprecated|Use eager execution|udf_utils|"
    "in-place Transform"
)


def quiet(log_level: str) -> None:
    """Keeps the libraries' logs to `log_level` and worse; call it before TensorFlow is imported.

    Args:
      log_level: error, warning or info.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", {"error": "3", "warning": "2", "info": "0"}[log_level])
    if log_level == "info":
        return
    warnings.simplefilter("ignore")
    for name in ("", "absl", "apache_beam", "tensorflow"):
        logging.getLogger(name).setLevel(log_level.upper())
        logging.getLogger(name).addFilter(lambda record: not HARMLESS.search(record.getMessage()))


def told(node: str, event: str, seconds: float, peak_bytes: int) -> None:
    """Says that a component starts, or how it ended.

    Args:
      node: its name.
      event: started, done, cached or failed.
      seconds: how long it took.
      peak_bytes: the most memory that the run held meanwhile.
    """
    if event == "started":
        OUT.print(f"[bold]▶ {node}[/]")
        return
    mark = {"done": "[green]✔", "cached": "[cyan]↺", "failed": "[red]✘"}[event]
    memory = f", peak memory {gigabytes(peak_bytes)}" if event == "done" else ""
    OUT.print(f"{mark} {node}[/] {'served from cache' if event == 'cached' else event} in {seconds:.1f} s{memory}")


def gigabytes(size: int) -> str:
    """Returns a size in bytes as gigabytes with a unit."""
    return f"{size / 1e9:.2f} GB"


def table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """Prints a table whose first column is text and whose others are figures."""
    drawn = Table(title=title, title_justify="left", title_style="bold")
    for index, column in enumerate(columns):
        drawn.add_column(column, justify="left" if index == 0 else "right")
    for row in rows:
        drawn.add_row(*row)
    OUT.print(drawn)


def line(text: str, style: str = "") -> None:
    """Prints one line as it is."""
    OUT.print(Text(text, style=style))
