"""`python -m graftline.cli` does what `graftline` does."""

import sys

from graftline.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
