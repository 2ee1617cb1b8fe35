"""Accepts the data that DataGate stopped a run at: `make accept-data CONFIG=… WHY="…"`."""

import sys

from graftline.base.errors import UserError
from graftline.runs.accept_data import accept_data
from graftline.settings.load import load_or_exit


def main() -> int:
    """Accepts it, says so, and returns the exit status."""
    settings = load_or_exit()
    try:
        acceptance = accept_data(settings, " ".join(sys.argv[1:]))
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"The data of the latest run is {acceptance.told}. The next run on it goes on.")
    return 0
