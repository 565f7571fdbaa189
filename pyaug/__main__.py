"""``python -m pyaug`` is the command ``pyaug``."""

import sys

from pyaug.cli import main

sys.exit(main())
