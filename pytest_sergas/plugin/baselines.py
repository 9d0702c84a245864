"""Where the history of relative budgets is kept: pytest's cache, beside the durations, or the file named `history`.

Workers only read it; the controller adds to it at the end of a run. What was found there is read again under the lock,
as for durations. A file that a later version has written is left alone.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from pytest_sergas.core.baselines import Baselines, BaselinesError, added, from_json, measured, to_json
from pytest_sergas.core.records import TestRecord
from pytest_sergas.errors import PublishError
from pytest_sergas.own import Own
from pytest_sergas.plugin.durations import cache_directory, locked, made_cache_directory
from pytest_sergas.publishers.files import write_atomically

_CPUINFO = Path("/proc/cpuinfo")


def place(config: pytest.Config, named: str, *, make: bool = False) -> Path | None:
    """Return the file; None where there is no cache and none is named.

    Args:
        named: where the key `history` leads, "" for the cache.
        make: whether it is to be written, so that its directory in the cache has to be there.
    """
    if named:
        return Path(named)
    cached = made_cache_directory(config) if make else cache_directory(config)
    return cached / "history.json" if cached is not None else None


@dataclass(frozen=True, slots=True)
class Found:
    """What a file says.

    Attributes:
        note: what there is to say about it, or "".
        may_be_written: whether nothing is lost when it is written anew.
    """

    baselines: Baselines
    note: str = ""
    may_be_written: bool = True


def read(path: Path) -> Found:
    """Return what a file says."""
    try:
        known, ahead = from_json(path.read_bytes(), Own.wall_s())
    except FileNotFoundError:
        return Found({})
    except BaselinesError as error:
        follows = "it is left as it is, and nothing is compared" if error.newer else "it starts anew"
        return Found({}, f"history: {path} {error}; {follows}", may_be_written=not error.newer)
    except OSError as error:
        return Found(
            {}, f"history: {path} cannot be read: {error.strerror or error}; nothing is compared", may_be_written=False
        )
    if not ahead:
        return Found(known)
    noun = "sample is" if ahead == 1 else "samples are"
    return Found(known, f"history: {path}: {ahead} {noun} from the future and left out; is the clock right?")


def record(path: Path, tests: Sequence[TestRecord], branch: str) -> list[str]:
    """Add the tests of a run to the file; return what there is to say about it."""
    new = measured(tests, Own.wall_s(), branch)
    return change(path, lambda known: added(known, machine(), new)) if new else []


def change(path: Path, changed: Callable[[Baselines], Baselines]) -> list[str]:
    """Write what ``changed`` makes of a file; return what there is to say about it."""
    try:
        with locked(path.parent):
            found = read(path)
            if found.may_be_written:
                write_atomically(path, to_json(changed(found.baselines)))
    except PublishError as error:
        return [f"history: {error}"]
    except OSError as error:
        return [f"history: {path} cannot be written: {error.strerror or error}"]
    return [found.note] if found.note else []


def machine() -> str:
    """Return the kind of this machine: processor, number of cores, and Python."""
    try:
        model = re.search(r"^model name\s*: (.+)$", _CPUINFO.read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:  # not Linux
        model = None
    processor = model[1].strip() if model is not None else platform.processor() or platform.machine()
    python = f"{platform.python_implementation()} {'.'.join(platform.python_version_tuple()[:2])}"
    return f"{processor}, {os.cpu_count()} cores, {python}"
