"""Prepares a dataset from a local copy of its archive: `make data CONFIG=… ARCHIVE=<zip>`."""

import argparse
import sys
from pathlib import Path

from graftline.base.errors import UserError
from graftline.settings.load import load


def main() -> int:
    """Prepares the set of the configuration that GRAFTLINE_CONFIG names, and returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m graftline.cli data", description="Prepares a dataset from an archive."
    )
    parser.add_argument("archive", type=Path, help="a local copy of the set's original zip file")
    try:
        load().data.source.prepare(parser.parse_args().archive)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    return 0
