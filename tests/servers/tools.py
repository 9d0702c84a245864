"""Where the tools are, and what happens without them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

TOOLS = Path(__file__).parents[2] / ".tools"


def find(name: str, hint: str) -> Path:
    """Return the program ``name``; without it, skip the test (or fail it where ``CI`` is set).

    Args:
        hint: how one gets the program.
    """
    own = TOOLS / "bin" / name
    found = own if os.access(own, os.X_OK) else shutil.which(name)
    return Path(found) if found else missing(name, hint)


def missing(name: str, hint: str) -> NoReturn:
    """End the test, because ``name`` is not there."""
    text = f"{name} is missing: {hint}"
    if os.environ.get("CI"):
        pytest.fail(f"{text} (where CI is set, this is no reason to skip)", pytrace=False)
    pytest.skip(text)
