"""Files that publishers write: whole or not at all, and what can be said about a place before the run.

A reader never meets half a file: what is written goes to a new file in the same directory, which then
takes the name. It is not forced to the disk: a report that is lost with the machine's power can be made
again, and waiting for a busy disk would cost the run its deadline.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from pytest_sergas.errors import PublishError


def write_atomically(path: Path, data: bytes, *, permissions: int | None = None) -> None:
    """Write ``data`` to ``path``; missing directories are created.

    Args:
        permissions: of the file, whatever the umask says; None keeps those of an existing file.

    A symbolic link stays one: what it points to is replaced. What is no regular file (``/dev/stdout``, a
    pipe) is written to in place, because it cannot be replaced.

    Raises:
        PublishError: the file cannot be written.
    """
    try:
        mode = _mode(path)
        if mode is not None and not stat.S_ISREG(mode):
            path.write_bytes(data)
            return
        target = path.resolve()
        target.parent.mkdir(parents=True, exist_ok=True)
        _replace(target, data, mode if permissions is None else permissions)
    except OSError as error:
        raise PublishError(f"{path} cannot be written: {error.strerror or error}") from error


def unwritable(path: Path) -> str | None:
    """Return why `write_atomically` would fail for ``path``, as far as can be known before, or None.

    The text is a whole sentence without its subject: ``is a directory``.
    """
    try:
        mode = _mode(path)
        if mode is not None and stat.S_ISDIR(mode):
            return "is a directory; name a file in it"
        directory = path.resolve().parent
        while not directory.exists():
            directory = directory.parent
    except OSError as error:
        return f"cannot be used: {error.strerror or error}"
    if not directory.is_dir():
        return f"cannot be created: {directory} is not a directory"
    if not os.access(directory, os.W_OK | os.X_OK):
        return f"cannot be created: the directory {directory} is not writable"
    return None


def _mode(path: Path) -> int | None:
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None


def _replace(target: Path, data: bytes, mode: int | None) -> None:
    # Short, because the target's name may be as long as the file system allows; and not ending as it does,
    # because who reads every *.prom of a directory must not find this one.
    new = target.with_name(f".sergas-{os.getpid()}-{os.urandom(4).hex()}.tmp")
    # Nobody may read for a moment what the permissions keep from them in the end.
    at_first = 0o666 if mode is None else stat.S_IMODE(mode) & 0o666
    try:
        with open(new, "xb", opener=lambda path, flags: os.open(path, flags, at_first)) as file:
            file.write(data)
        if mode is not None:
            new.chmod(stat.S_IMODE(mode))
        new.replace(target)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
