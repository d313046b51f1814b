"""`python -m kpclientd`: the program `kpclientd`."""

import sys

from kpclientd.cli import main

if __name__ == "__main__":
    sys.exit(main())
