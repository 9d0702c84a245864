"""Where the results of the latest runs are kept: pytest's cache, beside the durations; the controller writes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from pytest_sergas.core.records import TestRecord
from pytest_sergas.core.results import ResultsError, from_json, merge, to_json
from pytest_sergas.errors import PublishError
from pytest_sergas.plugin.durations import locked
from pytest_sergas.publishers.files import write_atomically

NAME = "results.json"


def read(path: Path) -> tuple[dict[str, str], str]:
    """Return what a file says, and what there is to say about it."""
    try:
        return from_json(path.read_bytes()), ""
    except FileNotFoundError:
        return {}, ""
    except ResultsError as error:
        return {}, f"results: {path} {error}; they start anew"
    except OSError as error:
        return {}, f"results: {path} cannot be read: {error.strerror or error}"


def update(path: Path, tests: Sequence[TestRecord], expected: Callable[[str], bool]) -> list[str]:
    """Add the results of ``tests`` to a file; return what there is to say about it."""
    try:
        with locked(path.parent):
            known, note = read(path)
            merged = merge(known, tests, expected)
            if merged != known:
                write_atomically(path, to_json(merged))
    except PublishError as error:
        return [f"results: {error}"]
    except OSError as error:
        return [f"results: {path} cannot be written: {error.strerror or error}"]
    return [note] if note else []
