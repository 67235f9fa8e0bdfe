"""``python -m latentem`` is the command ``latentem``."""

import sys

from latentem.cli import main

if __name__ == "__main__":
    sys.exit(main())
