"""Where a run takes place: what the CI system says, what the checkout says, Python and the platform.

The checkout is asked by reading git's files, not by starting ``git``: that takes no process (3 ms and
more), needs no git in the container, and is not refused where the directory belongs to somebody else
(``safe.directory``). Read are ``HEAD``, loose and packed refs, and the address of ``origin``; a worktree's
and a submodule's ``.git`` file is followed. A repository whose refs are kept in the reftable format says
nothing here. What cannot be read is empty: a run never fails because of it.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from pytest_sergas.core.ci import FIELD_LIMIT, from_variables
from pytest_sergas.core.records import Environment
from pytest_sergas.core.text import one_line, public_url

_COMMIT = r"[0-9a-f]{40}(?:[0-9a-f]{24})?"
_SMALL_BYTES = 64 * 1024
_PACKED_BYTES = 64 * 1024 * 1024


def describe(root: Path, environ: Mapping[str, str]) -> Environment:
    """Return where the run takes place.

    Args:
        root: the directory to whose repository the tests belong.
        environ: the environment variables.
    """
    told = from_variables(environ)
    branch, commit, repository = _checkout(root)
    return replace(
        told,
        # What is checked out for a pull request is a merge, under a name that is not the source branch's.
        branch=told.branch or ("" if told.pull_request else branch),
        commit=told.commit or commit,
        repository=told.repository or repository,
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.machine()}".strip(),
    )


def _checkout(root: Path) -> tuple[str, str, str]:
    """Return branch, commit and repository of the checkout round ``root``; "" for what it does not say."""
    own = _git_directory(root)
    if own is None:
        return "", "", ""
    shared = _shared_directory(own)
    repository = one_line(public_url(_origin(_read(shared / "config", _SMALL_BYTES))), FIELD_LIMIT)
    head = _read(own / "HEAD", _SMALL_BYTES).strip()
    if not head.startswith("ref:"):
        return "", _commit(head), repository
    ref = head.removeprefix("ref:").strip()
    if not ref.startswith("refs/heads/") or ref == "refs/heads/.invalid":  # how reftable fills the file
        return "", "", repository
    commit = _commit(_read(shared / ref, _SMALL_BYTES)) or _packed(shared / "packed-refs", ref)
    return one_line(ref.removeprefix("refs/heads/"), FIELD_LIMIT), commit, repository


def _git_directory(root: Path) -> Path | None:
    for directory in (root, *root.parents):
        git = directory / ".git"
        if os.path.isdir(git):  # noqa: PTH112  Path.is_dir raises where a directory may not be entered
            return git
        link = _read(git, _SMALL_BYTES) if os.path.isfile(git) else ""  # noqa: PTH113  as above
        if link.startswith("gitdir:"):
            # A worktree's or a submodule's: its text is the way to the directory, maybe relative.
            return directory / link.removeprefix("gitdir:").strip()
    return None


def _shared_directory(own: Path) -> Path:
    """Return where a worktree's branches are: in the repository that it belongs to."""
    common = _read(own / "commondir", _SMALL_BYTES).strip()
    return own / common if common else own


def _origin(config: str) -> str:
    """Return the address of the remote ``origin`` from git's configuration file."""
    section = ""
    for line in map(str.strip, config.splitlines()):
        name, equals, value = line.partition("=")
        if line.startswith("["):
            section = line
        elif section == '[remote "origin"]' and equals and name.strip() == "url":
            return value.strip()
    return ""


def _packed(path: Path, ref: str) -> str:
    line = re.search(rf"^(\S+) {re.escape(ref)}$", _read(path, _PACKED_BYTES), re.MULTILINE)
    return _commit(line[1]) if line else ""


def _commit(text: str) -> str:
    return text.strip() if re.fullmatch(_COMMIT, text.strip()) else ""


def _read(path: Path, limit_bytes: int) -> str:
    """Return the text of a file of git's, or "" when there is none or it is not like one."""
    try:
        with path.open("rb") as file:
            data = file.read(limit_bytes + 1)
    except (OSError, ValueError):  # a null byte in a path is a ValueError
        return ""
    return data.decode("utf-8", "surrogateescape") if len(data) <= limit_bytes else ""
