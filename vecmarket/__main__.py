"""Run the command line as ``python -m vecmarket``."""

import sys

from vecmarket.cli import main

sys.exit(main())
