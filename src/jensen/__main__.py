"""``python -m jensen``, the same as ``jensen``."""

import sys

from jensen.cli import main

sys.exit(main())
