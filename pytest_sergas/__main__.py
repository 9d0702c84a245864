"""``python -m pytest_sergas`` is the command line, `sergas`."""

from __future__ import annotations

import sys

from pytest_sergas.cli import main

sys.exit(main())
