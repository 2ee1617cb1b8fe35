"""Where the project lies, and what names in settings and the environment begin with."""

from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
SCHEMAS = PROJECT / "schemas"  # the reviewed ones
PREFIX = "GRAFTLINE_"
FOLDER_PREFIX = "folder:"


def absolute(path: Path) -> Path:
    """Returns a path that is absolute, or relative to the project, as an absolute one; `~` is the home folder."""
    expanded = path.expanduser()
    return expanded if expanded.is_absolute() else PROJECT / expanded


ProjectPath = Path  # absolute, or relative to the project
