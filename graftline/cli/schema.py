"""Infers the schema of a dataset that has none, for you to review: `make schema CONFIG=<name>`."""

import sys

from graftline.base import console
from graftline.base.errors import UserError
from graftline.settings.load import load_or_exit


def main() -> int:
    """Infers it, and returns the exit status."""
    settings = load_or_exit()
    console.quiet(settings.run.log_level)
    # After the settings' mistakes are told: these bring TensorFlow
    from graftline.runs.infer_schema import infer_schema
    from pipeline import reading

    try:
        infer_schema(settings, reading(settings))
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    return 0
