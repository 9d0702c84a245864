"""What pytest reports of a failure, read for its cause: the phase, the message and the frame of the project.

A report has come from a worker or was made here: both say the same. Frames are read from what pytest prepared to
print, which every style of ``--tb`` but ``line`` has; there the place of the crash is the frame.

Reports are read while the patches of a test may stand: paths are texts here, which need no module to be themselves.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pytest

from pytest_sergas.core.causes import Cause, Frame, cause_of, is_library
from pytest_sergas.core.records import NAME_LIMIT
from pytest_sergas.core.text import clean

# Texts: `re` compiles and keeps each when a test fails.
_DEF = r"[>\s]\s*(?:async\s+)?def\s+(\w+)"
_COLLECTED = r"(?m)^(\S.*?):(\d+): in (.+)\n\s+(.*)"
_NATIVE = r"(?m)^[ |]*File \"(.+)\", line (\d+), in (.+)\n[ |]+(.*)"
_RAISED = r"(?m)^E\s+(\S.*)"
_MISSING = r"(?m)^E\s+(fixture '(.+)' not found)"
_INSTALLED = r"/(?:site|dist)-packages/|/lib/python3[^/]*/"
_SOURCE_LIMIT = 200
_BACKSLASH = "\\"


class CauseReader:
    """Finds the cause of what a report says failed.

    Args:
        root: what the files of causes are relative to.
        invocation: where the command was typed: what the paths in reports are relative to.
    """

    def __init__(self, root: str, invocation: str) -> None:
        self._root = root.replace("\\", "/").rstrip("/") + "/"
        self._invocation = invocation
        self._files: dict[str, str] = {}

    def read(self, report: pytest.TestReport | pytest.CollectReport, phase: str) -> Cause:
        """Return the cause of a report that failed, in ``phase``."""
        longrepr: Any = report.longrepr
        crash = getattr(longrepr, "reprcrash", None)
        if crash is None:
            return self._of_text(report.nodeid, str(longrepr or ""), phase)
        entries = getattr(longrepr.reprtraceback, "reprentries", ())
        frame = self._innermost(entries, outermost=phase != "call") or self._last(_native(entries), _NATIVE)
        if frame is None:
            file = self._file(crash.path)
            frame = Frame(file, crash.lineno) if _is_own(file) else _test(report.nodeid)
        return cause_of(phase, crash.message, frame)

    def _of_text(self, node_id: str, text: str, phase: str) -> Cause:
        """Return the cause where the report is text: of a fixture that is missing, of a module that fails to import."""
        missing = re.search(_MISSING, text)
        if missing is not None:
            # Everything about it is quoted: its name stands for the frame.
            return cause_of(phase, f"FixtureLookupError: {missing[1]}", Frame("", function=missing[2]))
        raised = re.search(_RAISED, text)
        frame = self._last(text, _COLLECTED) or _test(node_id)
        return cause_of(phase, raised[1] if raised is not None else text, frame)

    def _last(self, text: str, frames: str) -> Frame | None:
        """Return the last frame of the project in a printed traceback."""
        for path, line, name, source in reversed(re.findall(frames, text)):
            if _is_own(file := self._file(path)):
                return Frame(file, int(line), _function(name), source[:_SOURCE_LIMIT])
        return None

    def _innermost(self, entries: Sequence[Any], *, outermost: bool) -> Frame | None:
        """Return the innermost frame of the project, or, if ``outermost``, the fixture's."""
        first = None
        for entry in reversed(entries):
            place = getattr(entry, "reprfileloc", None)
            if place is None:
                continue
            first = entry
            if _is_own(file := self._file(place.path)):
                return _frame(entry, file)
        return _frame(first, self._file(first.reprfileloc.path)) if first is not None and outermost else None

    def _file(self, path: str) -> str:
        """Return a path as records have it; one outside of the root directory is absolute, or as it is installed."""
        file = self._files.get(path)
        if file is None:
            whole = _normal(path, self._invocation)
            file = whole.removeprefix(self._root)
            if is_library(file) or file == whole:
                file = "/" + re.split(_INSTALLED, whole)[-1].lstrip("/")
            file = self._files[path] = clean(file, NAME_LIMIT)
        return file


def _native(entries: Sequence[Any]) -> str:
    """Return the printed traceback of the style ``native``, without those of the exceptions in a group."""
    lines = [line for entry in entries if getattr(entry, "style", "") == "native" for line in entry.lines]
    return "".join(lines).partition("+-+-")[0]


def _normal(path: str, base: str) -> str:
    """Return a path, relative to ``base``, as a whole one with forward slashes."""
    path = path.replace("\\", "/")
    if not path.startswith("/") and path[1:2] != ":":
        path = f"{base.replace(_BACKSLASH, '/')}/{path}"
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return ("/" if path.startswith("/") else "") + "/".join(parts)


def _is_own(file: str) -> bool:
    return bool(file) and not file.startswith("/")


def _frame(entry: Any, file: str) -> Frame:
    place, lines = entry.reprfileloc, entry.lines
    if place.message.startswith("in "):  # the short style
        function, source = _function(place.message[3:]), lines[0] if lines else ""
    else:
        function = next((found[1] for line in lines if (found := re.match(_DEF, line))), "")
        source = next((line[1:] for line in lines if line.startswith(">")), "")
    return Frame(file, place.lineno, function, source.strip()[:_SOURCE_LIMIT])


def _function(name: str) -> str:
    return "" if name.startswith("<") else name


def _test(node_id: str) -> Frame:
    """Return what stands for a frame where none is known: the test without its parameters."""
    file, _, name = node_id.partition("::")
    return Frame(file, function=name.partition("[")[0])
