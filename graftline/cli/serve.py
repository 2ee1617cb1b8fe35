"""Serves the model in production, with a page to try it: `make try CONFIG=… PORT=…`."""

import argparse
import sys

from graftline.base.errors import UserError
from graftline.server.serve import serve
from graftline.settings.load import load_or_exit


def main() -> int:
    """Serves the model of the configuration, and returns the exit status."""
    parser = argparse.ArgumentParser(
        description="Serves the model in production on this machine, with a page to try it."
    )
    parser.add_argument("--port", type=int, default=8501, help="where it listens; 0 takes a free one (8501)")
    port = parser.parse_args().port
    settings = load_or_exit(data_is_here=False)
    try:
        serve(settings, port)
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:  # where it comes before the server is up, which ends by itself afterwards
        pass
    print("Stopped.")
    return 0
