"""What a run prints: one line per component, and a summary at the end. Only this module knows how things look."""

import contextlib
import io
import logging
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.table import Table
from rich.text import Text

from graftline.base.states import State

MARKS = {State.DONE: "[green]✔", State.CACHED: "[cyan]↺", State.FAILED: "[red]✘"}
FILE_WIDTH = 200  # columns of a table that goes to a file or another program, where nothing needs to be wrapped
for stream in (sys.stdout, sys.stderr):
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="replace")  # its encoding may lack check marks, and a file's name may not be text
OUT = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else FILE_WIDTH)


# Warnings that TFX and TensorFlow give on every run, about their own internals
HARMLESS = re.compile(
    "property_predicate is not supported|ZetaSQL|saved prior to TF 2.5|is deprecated|Use eager execution|udf_utils|"
    "in-place Transform|has no dataset_info.json|Resource module is not available"
)


def to_stderr() -> None:
    """Keeps standard output free for what other programs read."""
    OUT.stderr = True


def quiet(log_level: str) -> None:
    """Limits the libraries' logs to `log_level` and worse; call it before TensorFlow is imported.

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


def told(node: str, state: State, seconds: float, peak_bytes: int) -> None:
    """Prints that a component starts, or how it ended.

    Args:
      node: its name.
      state: its state.
      seconds: how long it took.
      peak_bytes: the most memory that the run used meanwhile.
    """
    if state is State.STARTED:
        OUT.print(f"[bold]▶ {node}[/]")
        return
    memory = f", peak memory {gigabytes(peak_bytes)}" if state is State.DONE else ""
    OUT.print(
        f"{MARKS[state]} {node}[/] {'served from cache' if state is State.CACHED else state} in {seconds:.1f} s{memory}"
    )


@contextlib.contextmanager
def waiting() -> Iterator[Callable[[str], None]]:
    """Yields a function that shows what the program is waiting for: one live line on a terminal, else a line per change."""
    said = ""

    def show(text: str) -> None:
        nonlocal said
        if OUT.is_terminal:
            status.update(text)
            status.start()
        elif text != said:
            OUT.print(text)
        said = text

    status = OUT.status("")
    try:
        yield show
    finally:
        status.stop()


def gigabytes(size: int) -> str:
    """Returns a size in bytes as gigabytes with a unit."""
    return f"{size / 1e9:.2f} GB"


def table(title: str, columns: list[str], rows: list[list[str]], texts: int = 1) -> None:
    """Prints a table whose first columns are text and whose others are numbers.

    Args:
      title: what it is.
      columns: their names.
      rows: one cell per column.
      texts: how many columns are text.
    """
    drawn = Table(title=title, title_justify="left", title_style="bold")
    for index, column in enumerate(columns):
        drawn.add_column(column, justify="left" if index < texts else "right", overflow="fold")
    for row in rows:
        drawn.add_row(*map(Text, row))
    OUT.print(drawn)


def side_by_side(title: str, names: list[str], lines: list[tuple[str, str, str]]) -> None:
    """Prints a table that compares two columns; lines that differ are marked and colored.

    Args:
      title: what it is.
      names: those of the two columns.
      lines: a name and two values each.
    """
    drawn = Table(title=title, title_justify="left", title_style="bold")
    for column in ("", "", *names):
        drawn.add_column(column, overflow="fold")
    for name, one, other in lines:
        differ = one != other
        drawn.add_row("≠" if differ else "", *map(Text, (name, one, other)), style="bold yellow" if differ else "")
    OUT.print(drawn)


def line(text: str, style: str = "") -> None:
    """Prints one line as it is."""
    OUT.print(Text(text, style=style))
