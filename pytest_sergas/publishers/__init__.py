"""Where a run goes: one file for each destination, found through the entry points `GROUP`.

An entry point names a factory: `Factory`. It is called once, before the tests run, so that what cannot
work is said before anyone waits for it; it returns None where there is nothing to do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from pathlib import Path
from typing import Literal, Protocol

from pytest_sergas.config import Settings
from pytest_sergas.core.frozen import dataclass
from pytest_sergas.core.records import RunRecord

GROUP = "pytest_sergas.publishers"

Style = Literal["", "bold", "red", "green", "yellow"]


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of a line; the style is dropped where colour is off."""

    text: str
    style: Style = ""


Line = tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class Publication:
    """What a publisher has done.

    Attributes:
        place: where the run can be found now (a path, a URL without secrets), or "".
        title: heading of ``lines`` on the terminal, or "" for none.
        lines: to be written to the terminal, in order.
        brief: what is written instead where pytest is quiet and ``lines`` have a title: what went wrong.
    """

    place: str = ""
    title: str = ""
    lines: tuple[Line, ...] = ()
    brief: tuple[Line, ...] = ()


@dataclass(frozen=True, slots=True)
class Context:
    """What a factory may look at.

    Attributes:
        settings: the configuration in force.
        environ: the environment variables.
        root: the directory of the configuration; its relative paths are relative to it.
        invocation: the directory in which the user typed the command; relative paths of options are
            relative to it.
        junit_path: the JUnit file that pytest writes, or None.
        junit_prefix: what pytest puts before its class names there.
        sources: key of the settings → the place that decided on it.
        cache: a directory of ours in pytest's cache, or None where it is off.
        rootdir: pytest's root directory, which the node ids are relative to; None where it is ``root``.
        record: the CTRF file in which the program that started pytest reads the run, or None.
    """

    settings: Settings
    environ: Mapping[str, str]
    root: Path
    invocation: Path
    junit_path: Path | None = None
    junit_prefix: str = ""
    sources: Mapping[str, str] = field(default_factory=dict)
    cache: Path | None = None
    rootdir: Path | None = None
    record: Path | None = None

    def named(self, key: str) -> str:
        """Return how a fault names a key, so that its reader knows where to look: ``push (environment ...)``."""
        source = self.sources.get(key, "")
        return f"{key} ({source})" if source else key


class Publisher(Protocol):
    """One destination.

    `publish` is called once, at the end of the run, on a thread of its own beside the other publishers;
    it owns what it opens and closes it. All of them together have one deadline: who is not back by then is
    abandoned, and the run ends without it. It raises `PublishError` when it could not deliver; the text
    names the destination without secrets. Nothing it does changes the exit status.

    Attributes:
        name: the entry point's name, for the line that says what was not sent.
        writes: files that it replaces; two publishers for one file are refused before the run.
    """

    @property
    def name(self) -> str: ...

    @property
    def writes(self) -> tuple[Path, ...]: ...

    def publish(self, run: RunRecord, remaining_s: Callable[[], float]) -> Publication:
        """Deliver ``run``; ``remaining_s()`` is how many seconds are left, 0 when there are none."""
        ...


Factory = Callable[[Context], Publisher | None]
