"""Hands the finished run to every publisher, within one deadline.

Each publisher works on a daemon thread of its own, so that name look-ups and file systems that hang, which
nothing can interrupt, cost no more than the deadline; who is not back by then is abandoned. Publishers
return what is to be printed: nothing here writes to the terminal.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from pytest_sergas.core.frozen import dataclass
from pytest_sergas.core.records import RunRecord
from pytest_sergas.core.text import one_line
from pytest_sergas.errors import ConfigurationError, PublishError
from pytest_sergas.publishers import GROUP, Context, Publication, Publisher

_REASON_LIMIT = 500

# What is left after a publisher has given up by itself, so that its own reason is still heard.
_SPARE_SHARE = 0.1
_SPARE_S = 0.25


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
            publisher = _create(entry, context)
        except ConfigurationError as error:
            faults.extend(error.faults)
        else:
            if publisher is not None:
                publishers.append(publisher)
    faults.extend(_same_file(publishers, context.junit_path))
    if faults:
        raise ConfigurationError(tuple(faults))
    return tuple(publishers)


def publish_all(publishers: Sequence[Publisher], run: RunRecord, deadline_s: float) -> tuple[Sent, ...]:
    """Let every publisher deliver ``run``; return what became of each, in their order.

    Args:
        deadline_s: seconds that they have together. Ctrl-C ends the wait at once.
    """
    results: dict[int, Sent] = {}
    end_s = time.monotonic() + deadline_s
    spare_s = min(_SPARE_SHARE * deadline_s, _SPARE_S)

    def remaining_s() -> float:
        return max(0.0, end_s - spare_s - time.monotonic())

    def work(index: int, publisher: Publisher) -> None:
        results[index] = _publish(publisher, run, remaining_s)

    threads = [
        threading.Thread(target=work, args=(index, publisher), daemon=True, name=f"sergas {publisher.name}")
        for index, publisher in enumerate(publishers)
    ]
    why = f"not done within {deadline_s:g} s"
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, end_s - time.monotonic()))
    except KeyboardInterrupt:
        why = "interrupted"
    return tuple(results.get(index, Sent(publisher.name, None, why)) for index, publisher in enumerate(publishers))


def _publish(publisher: Publisher, run: RunRecord, remaining_s: Callable[[], float]) -> Sent:
    try:
        publication: object = publisher.publish(run, remaining_s)
    except PublishError as error:
        return Sent(publisher.name, None, one_line(str(error), _REASON_LIMIT))
    # The edge of a publisher, which may be a stranger's and may call pytest.fail() or exit(); the run goes on.
    except BaseException as error:  # noqa: BLE001
        return Sent(publisher.name, None, one_line(f"{type(error).__name__}: {error}", _REASON_LIMIT))
    if not isinstance(publication, Publication):
        return Sent(publisher.name, None, f"publish() returned {type(publication).__name__}, not a Publication")
    return Sent(publisher.name, publication)


def _create(entry: EntryPoint, context: Context) -> Publisher | None:
    try:
        publisher: Publisher | None = entry.load()(context)
    except ConfigurationError:
        raise
    except Exception as error:  # the edge of a publisher, which may be a stranger's; it is named, and nothing runs
        fault = f"publisher {entry.name!r} ({entry.value}) cannot be used: {type(error).__name__}: {error}"
        raise ConfigurationError((one_line(fault, _REASON_LIMIT),)) from error
    return publisher


def _same_file(publishers: Sequence[Publisher], junit_path: Path | None) -> list[str]:
    # pytest writes this one itself.
    owners = {} if junit_path is None else {junit_path.resolve(): "junit"}
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
