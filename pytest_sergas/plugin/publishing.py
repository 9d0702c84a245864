"""Hands the finished run to every publisher, within one deadline.

Each publisher works on a daemon thread of its own, so that name look-ups and file systems that hang, which
nothing can interrupt, cost no more than the deadline; who is not back by then is abandoned. Publishers
return what is to be printed: nothing here writes to the terminal.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from pytest_sergas.core.records import RunRecord
from pytest_sergas.core.text import one_line
from pytest_sergas.errors import ConfigurationError, PublishError
from pytest_sergas.publishers import GROUP, Context, Factory, Publication, Publisher


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of one publisher: a publication, or the reason why there is none."""

    name: str
    publication: Publication | None
    reason: str = ""


def create_all(context: Context) -> tuple[Publisher, ...]:
    """Return the publishers that have something to do in this run.

    Raises:
        ConfigurationError: with the faults of all of them, among them two that write the same file.
    """
    faults: list[str] = []
    publishers: list[Publisher] = []
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        try:
            publisher = _factory(entry)(context)
        except ConfigurationError as error:
            faults.extend(error.faults)
        else:
            if publisher is not None:
                publishers.append(publisher)
    faults.extend(_same_file(publishers))
    if faults:
        raise ConfigurationError(tuple(faults))
    return tuple(publishers)


def publish_all(publishers: Sequence[Publisher], run: RunRecord, deadline_s: float) -> tuple[Sent, ...]:
    """Let every publisher deliver ``run``; return what became of each, in their order.

    Args:
        deadline_s: seconds that they have together. Ctrl-C ends the wait at once.
    """
    results: dict[str, Sent] = {}
    end_s = time.monotonic() + deadline_s

    def remaining_s() -> float:
        return max(0.0, end_s - time.monotonic())

    def work(publisher: Publisher) -> None:
        results[publisher.name] = _publish(publisher, run, remaining_s)

    threads = {
        publisher.name: threading.Thread(target=work, args=(publisher,), daemon=True, name=f"sergas {publisher.name}")
        for publisher in publishers
    }
    why = f"not done within {deadline_s:g} s"
    try:
        for thread in threads.values():
            thread.start()
        for thread in threads.values():
            thread.join(remaining_s())
    except KeyboardInterrupt:
        why = "interrupted"
    return tuple(results.get(name, Sent(name, None, why)) for name in threads)


def _publish(publisher: Publisher, run: RunRecord, remaining_s: Callable[[], float]) -> Sent:
    try:
        return Sent(publisher.name, publisher.publish(run, remaining_s))
    except PublishError as error:
        return Sent(publisher.name, None, one_line(str(error), 300))
    except Exception as error:  # noqa: BLE001  the edge of a publisher, which may be a stranger's; the run goes on
        return Sent(publisher.name, None, one_line(f"{type(error).__name__}: {error}", 300))


def _factory(entry: EntryPoint) -> Factory:
    try:
        factory: Factory = entry.load()
    except (ImportError, AttributeError) as error:
        raise ConfigurationError((f"publisher {entry.name!r} ({entry.value}) cannot be loaded: {error}",)) from error
    return factory


def _same_file(publishers: Sequence[Publisher]) -> list[str]:
    owners: dict[Path, str] = {}
    faults = []
    for publisher in publishers:
        for path in publisher.writes:
            other = owners.setdefault(path.resolve(), publisher.name)
            if other != publisher.name:
                faults.append(f"{other} and {publisher.name} would write the same file: {path}; give one another name")
    return faults


def not_sent(results: Sequence[Sent]) -> str:
    """Return the line that says what was not sent, or "" when all was."""
    failed = [f"{result.name}: {result.reason}" for result in results if result.publication is None]
    return f"not sent: {'; '.join(failed)}" if failed else ""


def places(results: Sequence[Sent]) -> Mapping[str, str]:
    """Return publisher → where the run can be found now."""
    return {
        result.name: result.publication.place
        for result in results
        if result.publication is not None and result.publication.place
    }
