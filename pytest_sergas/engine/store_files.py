"""The files of an open store, watched: SQLite goes on writing to one that was deleted or replaced, and says nothing.

    what happened to the store's file, its log (-wal) or its index (-shm)     how it is noticed
    deleted, or moved away                                                    there is no file of that name
    replaced by another file                                                  it has another inode
    overwritten in place (`cp backup store`)                                  its first bytes are not what was left

The first bytes are looked at only when the file's time or size is not what the last transaction left. They are read
through one descriptor that stays open as long as the store: closing any descriptor of a file gives up all POSIX locks
that the process has on it, SQLite's among them.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

_HEADER_BYTES = 100  # SQLite's header: counts of pages and of changes
_SUFFIXES = ("", "-wal", "-shm")


class StoreFiles:
    """What the files of the store at ``path`` were when it was opened; it has been read, so that all are there."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._names = {suffix: path.with_name(path.name + suffix) for suffix in _SUFFIXES}
        self._descriptor = os.open(path, os.O_RDONLY)
        self._state, self._header = (0, 0), b""
        self._known = {suffix: _identity(name) for suffix, name in self._names.items()}
        self.settle()

    def settle(self) -> None:
        """Take the store's file as it is now: a transaction of ours has just ended."""
        with suppress(OSError):  # it is gone, which is a fault
            state = self._path.stat()
            self._state = (state.st_mtime_ns, state.st_size)
            self._header = self._read_header()

    def fault(self) -> str:
        """Return what has happened to the files, or ""."""
        for suffix, name in self._names.items():
            found = _identity(name)
            if found is None:
                return f"{name.name} was deleted or moved away under the running process"
            if found != self._known[suffix]:
                return f"{name.name} was replaced by another file under the running process"
        return f"{self._path.name} was overwritten under the running process" if self._is_overwritten() else ""

    def forget_log(self) -> None:
        """Keep what the log holds out of the content that was put in the store's place.

        Of a store that was overwritten it is emptied, because closing would write it into the new content; of one that
        was replaced it is moved away, because the next start would.
        """
        log = self._names["-wal"]
        if _identity(log) != self._known["-wal"]:
            return
        if self._is_overwritten():
            os.truncate(log, 0)
        elif _identity(self._path) not in {None, self._known[""]}:
            log.rename(log.with_name(f"{self._path.name}.replaced-wal"))

    def close(self) -> None:
        """Let the file go; SQLite has closed it."""
        os.close(self._descriptor)

    def _read_header(self) -> bytes:
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        return os.read(self._descriptor, _HEADER_BYTES)

    def _is_overwritten(self) -> bool:
        try:
            state = self._path.stat()
            if (state.st_mtime_ns, state.st_size) == self._state:
                return False
            return self._read_header() != self._header
        except OSError:
            return False  # it is gone, which is another fault


def _identity(path: Path) -> tuple[int, int] | None:
    with suppress(OSError):
        state = path.stat()
        return state.st_dev, state.st_ino
    return None
