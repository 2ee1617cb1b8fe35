"""`python -m graftline.cli` is what `graftline` is."""

import sys

from graftline.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
