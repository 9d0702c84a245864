"""Where durations are kept from run to run: pytest's cache, and a file that machines share, or a sidecar.

The cache is this machine's own and is written by every run. A shared file comes before it where there is no own
value; it is read wherever it is named, and written only by runs that name it on the command line, so that a file
under version control changes when somebody means it. A run of a shard never writes it: the next shard must find
the same.

Only the controller writes, once, at the end: what is there is read again under a lock on its directory, so that
nothing of a parallel writer is lost, and the file is replaced as a whole.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_sergas.config import Loaded
from pytest_sergas.core.address import is_url
from pytest_sergas.core.durations import Duration, DurationsError, from_json, merge, to_json
from pytest_sergas.core.records import TestRecord
from pytest_sergas.errors import ConfigurationError, PublishError
from pytest_sergas.publishers.files import unwritable, write_atomically

if TYPE_CHECKING:
    from pytest_sergas.core.plan import History
    from pytest_sergas.plugin.served import ServedDurations

NAME = "durations.json"

_LOCK_S = 2.0
_POLL_S = 0.02


class KeptDurations:
    """Reads and writes the durations of a run.

    Attributes:
        notes: what the summary should say about the files.

    Raises:
        pytest.UsageError: the shared file cannot be written, or the sidecar not be asked.
    """

    def __init__(self, config: pytest.Config, loaded: Loaded) -> None:
        self._config = config
        self._loaded = loaded
        named = loaded.settings.durations
        self._sharded = bool(config.getoption("sergas_shard"))
        self._served = self._serve(loaded) if is_url(named) else None
        self._shared = Path(loaded.root, named) if named and self._served is None else None
        on_command_line = loaded.sources.get("durations", "").startswith("command line")
        self._updated = self._shared if on_command_line and not self._sharded else None
        if self._updated is not None and (reason := unwritable(self._updated)):
            fault = f"durations ({loaded.sources['durations']}) = {str(self._updated)!r}: {reason}"
            raise pytest.UsageError(str(ConfigurationError((fault,))))
        self._history: History | None = None
        self.notes: dict[str, None] = {}

    def history(self) -> History:
        """Return what is known to this machine; it is read once."""
        if self._history is None:
            self._history = self._read_history()
        return self._history

    def _read_history(self) -> History:
        cached = cache_directory(self._config)
        own = self._read(cached / NAME) if cached is not None else {}
        known = to_history({**self._read(self._shared), **own})
        if self._served is None:
            return known
        served, note = self._served.fetch()
        if note:
            self.notes[note] = None
        return replace(known, durations={**served, **known.durations})

    def shared(self) -> bytes:
        """Return the shared file, from which all shards are cut; empty where there is none yet.

        Raises:
            pytest.UsageError: it is there and cannot be used, or a sidecar is named; other machines would cut other
                shards.
        """
        if self._served is not None:
            raise _is_served(self._loaded)
        if self._shared is None:
            return b""
        try:
            data = self._shared.read_bytes()
            from_json(data)
        except FileNotFoundError:
            self.notes[f"durations: {self._shared} does not exist yet; the shards are cut by the number of tests"] = (
                None
            )
            return b""
        except (OSError, DurationsError) as error:
            text = f"durations = {str(self._shared)!r}: {_reason(error)}; a shard needs the same file on each machine"
            raise pytest.UsageError(str(ConfigurationError((text,)))) from error
        return data

    def record(self, tests: Sequence[TestRecord], *, complete: bool) -> None:
        """Add the durations of a run, and how its tests ended, to what is kept.

        Args:
            complete: whether everything that was asked for has run.
        """
        if not tests:
            return
        expected = _expected(self._config) if complete and not self._sharded else _nothing
        cached = made_cache_directory(self._config)
        for path in (self._updated, cached / NAME if cached is not None else None):
            if path is not None:
                self.notes.update(dict.fromkeys(update(path, tests, expected)))
        if cached is not None:
            from pytest_sergas.plugin import results

            self.notes.update(dict.fromkeys(results.update(cached / results.NAME, tests, expected)))

    def _serve(self, loaded: Loaded) -> ServedDurations:
        from pytest_sergas.plugin.served import ServedDurations

        if self._sharded:
            raise _is_served(loaded)
        try:
            return ServedDurations(loaded)
        except ConfigurationError as error:
            raise pytest.UsageError(str(error)) from error

    def _read(self, path: Path | None) -> dict[str, Duration]:
        known, note = _read(path) if path is not None else ({}, "")
        if note:
            self.notes[note] = None
        return known


def cache_directory(config: pytest.Config) -> Path | None:
    """Return our directory in pytest's cache, which need not exist; None with ``-p no:cacheprovider``.

    Not through pytest's own object, which makes the directory at once: to read is not to leave something behind.
    """
    if not config.pluginmanager.hasplugin("cacheprovider"):
        return None
    directory = Path(os.path.expandvars(str(config.getini("cache_dir")))).expanduser()
    return config.rootpath / directory / "d" / "sergas"


def made_cache_directory(config: pytest.Config) -> Path | None:
    """Return our directory in pytest's cache, to be written to; None where there is none."""
    cache = getattr(config, "cache", None)  # not there with -p no:cacheprovider
    if cache is None:
        return None
    try:
        return Path(cache.mkdir("sergas"))
    except OSError:
        return None  # pytest itself says that its cache cannot be written


def _is_served(loaded: Loaded) -> pytest.UsageError:
    from pytest_sergas.core.text import redact_url

    fault = (
        f"durations = {redact_url(loaded.settings.durations)!r}: what a sidecar serves changes with each run, "
        "and a shard needs the same on each machine; name a file"
    )
    return pytest.UsageError(str(ConfigurationError((fault,))))


def to_history(durations: dict[str, Duration]) -> History:
    """Return ``durations`` as the plan wants them."""
    from pytest_sergas.core.plan import History

    return History(
        {node_id: duration.total_s for node_id, duration in durations.items()},
        {node_id: duration.setup_s for node_id, duration in durations.items()},
    )


def update(
    path: Path, tests: Sequence[TestRecord], expected: Callable[[str], bool] = lambda _node_id: False
) -> list[str]:
    """Add the durations of ``tests`` to a file; return what there is to say about it.

    Args:
        expected: whether the run would have had a test of this node id if it still existed.
    """
    try:
        with locked(path.parent):
            known, note = _read(path)
            merged = merge(known, tests, expected)
            if merged != known:
                write_atomically(path, to_json(merged))
    except PublishError as error:
        return [f"durations: {error}"]
    except OSError as error:
        return [f"durations: {path} cannot be written: {error.strerror or error}"]
    return [note] if note else []


def _read(path: Path) -> tuple[dict[str, Duration], str]:
    """Return what a file says, and what there is to say about it."""
    try:
        return from_json(path.read_bytes()), ""
    except FileNotFoundError:
        return {}, ""
    except (OSError, DurationsError) as error:
        return {}, f"durations: {path} {_reason(error)}; they start anew"


def _reason(error: Exception) -> str:
    return f"cannot be read: {error.strerror or error}" if isinstance(error, OSError) else str(error)


def _nothing(node_id: str) -> bool:
    del node_id
    return False


def selects(config: pytest.Config) -> bool:
    """Whether the arguments leave out tests of the files that they name."""
    selecting = ("keyword", "markexpr", "deselect", "lf", "stepwise", "ignore", "ignore_glob", "pyargs")
    return any(config.getoption(name, None) for name in selecting) or any("::" in argument for argument in config.args)


def _expected(config: pytest.Config) -> Callable[[str], bool]:
    """Return whether a run like this one has a test, as far as its arguments tell; nothing where it selects."""
    if selects(config):
        return _nothing
    asked = [
        os.path.relpath(Path(config.invocation_params.dir, argument), config.rootpath).replace(os.sep, "/")
        for argument in config.args
    ]

    def is_expected(node_id: str) -> bool:
        file = node_id.partition("::")[0]
        return any(path in {".", file} or file.startswith(f"{path}/") for path in asked)

    return is_expected


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold a lock on ``directory`` itself, which leaves no file behind.

    Who does not get it within `_LOCK_S`, or has a file system without locks, goes on: what could be lost is one
    run's durations, and the next run has them again.
    """
    directory.mkdir(parents=True, exist_ok=True)
    if sys.platform == "win32":  # the file is still replaced as a whole, and the last writer wins
        yield
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        end_s = time.monotonic() + _LOCK_S
        while not _try(descriptor) and time.monotonic() < end_s:
            time.sleep(_POLL_S)
        yield
    finally:
        os.close(descriptor)


def _try(descriptor: int) -> bool:
    """Whether the lock was taken, or cannot be had on this file system."""
    if sys.platform == "win32":
        return True
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True
