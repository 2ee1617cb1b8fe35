"""Takes the model in production back: `make rollback CONFIG=… WHY="…"`."""

import sys

from graftline.base.errors import UserError
from graftline.runs.rollback import roll_back
from graftline.settings.load import load_or_exit


def main() -> int:
    """Rolls back, says what is in production now, and returns the exit status."""
    settings = load_or_exit()
    try:
        push = roll_back(settings, " ".join(sys.argv[1:]))
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"Version {push.withdrawn} is withdrawn; in production is {settings.push_dir / str(push.version)}.")
    return 0
