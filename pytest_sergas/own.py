"""The runner's own tools: the functions it calls while a test's patches may stand, bound out of their reach.

    a test patches with           what is replaced                               why these stay
    -----------------------------------------------------------------------------------------------------------------
    monkeypatch, unittest.mock    an attribute of a module                       they were taken before
    freezegun                     clocks among the attributes of every module    they are attributes of a class
    pyfakefs                      modules and functions, in every module         likewise
    time-machine                  the C function behind `time.time`              `wall_s` counts from the import on,
                                                                                 with a clock that it leaves alone

So a module of the plugin that runs while tests do calls ``Own.perf_counter()``, not ``time.perf_counter()``. The
functions are taken when the plugin is imported, before any conftest.py.

After the tests, publishers and standard library do work that cannot be bound one by one: `unpatched` puts the standard
library back for that long, where a patch was never undone.
"""

from __future__ import annotations

import gc
import io
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import ModuleType


_SIGNAL = sys.modules.get("_signal", signal)


class Own:
    """The tools. They are called on the class: a function that is an attribute of it is not bound to anything."""

    perf_counter = time.perf_counter
    monotonic = time.monotonic
    process_time = time.process_time
    thread_time = time.thread_time
    sleep = time.sleep

    os_open = os.open
    os_close = os.close
    os_write = os.write
    os_exit = os._exit
    stat = os.stat
    replace = os.replace
    getpid = os.getpid
    kill = os.kill
    isatty = os.isatty
    fsencode = os.fsencode
    os_pwrite = getattr(os, "pwrite", None)
    open = io.open

    # Beneath the functions of `signal`, which look for each handler among the members of an enumeration.
    signal: Callable[[int, Any], Any] = _SIGNAL.signal
    getsignal: Callable[[int], Any] = _SIGNAL.getsignal
    pthread_kill = getattr(_SIGNAL, "pthread_kill", None)
    pthread_sigmask = getattr(_SIGNAL, "pthread_sigmask", None)

    collect_garbage = gc.collect
    native_id = threading.get_native_id
    Thread = threading.Thread
    Timer = threading.Timer

    dumps = json.dumps
    loads = json.loads

    @staticmethod
    def wall_s() -> float:
        """Return the seconds since the Unix epoch, as they were when the plugin was imported, and counted on."""
        return _Clock.elapsed_s() + _EPOCH_S

    @staticmethod
    def exists(path: Path) -> bool:
        """Whether there is something at ``path``."""
        try:
            Own.stat(path)
        except OSError:
            return False
        return True

    @staticmethod
    def read(path: Path) -> str:
        """Return the ASCII text of a file.

        Raises:
            OSError: it cannot be read.
        """
        with Own.open(path, encoding="ascii") as file:
            return file.read()

    @staticmethod
    def write_at_once(path: Path, text: str) -> None:
        """Write ASCII text to a file that nobody ever sees half written.

        Raises:
            OSError: it cannot be written.
        """
        own = path.with_suffix(f".{Own.getpid()}")
        with Own.open(own, "w", encoding="ascii") as file:
            file.write(text)
        Own.replace(own, path)


def _boot_clock() -> Callable[[], float]:
    """Return the clock by which wall time is counted on. Linux has one that goes on while the machine sleeps."""
    if sys.platform == "win32":
        return time.perf_counter
    which = getattr(time, "CLOCK_BOOTTIME", None)
    if sys.platform == "win32":
        return time.perf_counter
    return time.perf_counter if which is None else partial(time.clock_gettime, which)


class _Clock:
    """As `Own`: not to be found among the attributes of a module."""

    elapsed_s = staticmethod(_boot_clock())


# When the plugin was imported, in seconds since the Unix epoch: no file was opened for this run before.
IMPORTED_S = time.time()
_EPOCH_S = IMPORTED_S - _Clock.elapsed_s()


# What runs after the tests, ours and what it calls, as far as pytest has loaded it, or test modules before the first
# test begins. What is loaded later, with the first publisher that wants it, is then as it was written.
_MODULES = (
    *("builtins", "io", "os", "posix", "nt", "posixpath", "ntpath", "stat", "pathlib", "shutil", "tempfile", "glob"),
    *("time", "datetime", "threading", "_thread", "queue", "signal", "resource", "gc", "subprocess", "contextlib"),
    *("json", "json.encoder", "json.decoder", "logging", "uuid", "random", "hashlib", "base64", "gzip", "zlib"),
    *(
        "socket",
        "_socket",
        "select",
        "selectors",
        "ssl",
        "http.client",
        "urllib.request",
        "urllib.error",
        "urllib.parse",
    ),
    *("importlib", "importlib.metadata", "platform", "re", "math", "enum", "dataclasses", "functools", "itertools"),
    *("fcntl", "xml.etree.ElementTree", "collections", "operator", "copy", "struct", "inspect", "warnings", "email"),
)
_CLASSES: tuple[type, ...] = (
    *type(Path()).__mro__[:-1],
    threading.Thread,
    threading.Event,
    json.JSONEncoder,
    json.JSONDecoder,
)


# Modules and classes of the standard library, and their attributes as they were; by the name of the module.
_OWNERS: dict[str, tuple[ModuleType | type, Mapping[str, Any]]] = {
    f"{owner.__module__}.{owner.__qualname__}": (owner, dict(vars(owner))) for owner in _CLASSES
}


def note_modules() -> None:
    """Note what the standard library is like that has been loaded meanwhile: it is not patched yet.

    Called once more before the first test, for what test modules and conftest.py files have loaded.
    """
    for name in _MODULES:
        module = sys.modules.get(name)
        if module is not None and name not in _OWNERS:
            _OWNERS[name] = (module, dict(vars(module)))


note_modules()
_MISSING = object()


@contextmanager
def unpatched() -> Generator[None]:
    """Put back what tests have left patched in the standard library, and leave it patched again afterwards.

    For what runs between tests, or after all of them, and calls more than `Own` can bind. Most often nothing is
    patched, and then nothing is changed.
    """
    changes = _changes()
    path, limit = sys.path, sys.getrecursionlimit()
    for owner, name, ours, _ in changes:
        setattr(owner, name, ours)
    sys.path = list(_PATH) if set(_PATH) - set(path) else path
    sys.setrecursionlimit(max(limit, _RECURSION_LIMIT))
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)
        sys.path = path
        for owner, name, _, theirs in reversed(changes):
            if theirs is _MISSING:
                delattr(owner, name)
            else:
                setattr(owner, name, theirs)


def _changes() -> list[tuple[ModuleType | type, str, Any, Any]]:
    # owner, name, ours, theirs; no class of tuples, which every run would have to make
    changes = []
    for owner, attributes in _OWNERS.values():
        now = owner.__dict__
        for name, ours in attributes.items():
            theirs = now.get(name, _MISSING)
            if theirs is not ours and (name in _CALLED or not name.startswith("__")):
                changes.append((owner, name, ours, theirs))
    return changes


_CALLED = frozenset({"__import__", "__init__", "__new__", "__enter__", "__exit__"})
_PATH = tuple(sys.path)
_RECURSION_LIMIT = sys.getrecursionlimit()
