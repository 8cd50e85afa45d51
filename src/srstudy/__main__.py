"""`python -m srstudy enhance IN... -o OUT`; see docs/enhance.md."""

import sys

from srstudy.enhance.command import main

if __name__ == "__main__":
    sys.exit(main())
