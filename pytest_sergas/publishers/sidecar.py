"""The run in the sidecar: its document, and its metrics as a push.

What could not be sent is kept in pytest's cache directory, compressed, and sent before the next run, oldest first: the
sidecar knows each run by its id and keeps it once, so that nothing is counted twice. Two things are given up: what the
sidecar refuses as it is, and the oldest beyond `KEPT_RUNS`. A push is not repeated: it would replace newer values.
"""

from __future__ import annotations

import gzip
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_sergas.core.records import RunRecord
from pytest_sergas.core.text import redact_url
from pytest_sergas.errors import ConfigurationError, PublishError
from pytest_sergas.publishers import Context, Publication, Segment
from pytest_sergas.publishers.endpoint import AnsweredError, Endpoint, endpoint
from pytest_sergas.publishers.files import write_atomically
from pytest_sergas.publishers.pushgateway import Pushgateway

KEPT_RUNS = 20
SUFFIX = ".ctrf.json.gz"
PATH = "/api/runs"

_HEADERS = (("Content-Type", "application/json"), ("Content-Encoding", "gzip"))
# Answers that are about who sends and when; any other refusal is about the run, and would be the same next time.
_NOT_ABOUT_THE_RUN = frozenset({401, 403, 404, 407, 408, 421, 425, 429})
_UNUSUAL = re.compile(r"[^A-Za-z0-9_-]")


def create(context: Context) -> Sidecar | None:
    """Return the publisher, or None when no sidecar is named.

    Raises:
        ConfigurationError: the credentials cannot be used.
    """
    settings = context.settings
    if not settings.sidecar:
        return None
    faults: list[str] = []
    where = endpoint("sidecar", settings.sidecar, context, faults)
    if faults:
        raise ConfigurationError(tuple(faults))
    # Who names a gateway as well has the metrics there.
    metrics = (
        None if settings.push else Pushgateway(where, settings.push_labels, settings.slowest, settings.publish_deadline)
    )
    return Sidecar(where, metrics, context.cache, settings.publish_deadline)


@dataclass(frozen=True, slots=True)
class Sidecar:
    """Sends the run, those that were kept before it, and its metrics.

    Attributes:
        metrics: pushes to the same place, or None where the metrics go elsewhere.
        cache: directory for runs that could not be sent, or None to keep none.
    """

    endpoint: Endpoint
    metrics: Pushgateway | None
    cache: Path | None
    deadline_s: float
    name: str = "sidecar"
    writes: tuple[Path, ...] = ()

    def publish(self, run: RunRecord, remaining_s: Callable[[], float]) -> Publication:
        notes: list[str] = []
        works = {
            "metrics": lambda: self._push(run, remaining_s),
            "run": lambda: self._send(run, remaining_s, notes),
        }
        reasons = dict.fromkeys(works, self._late)

        def work(what: str) -> None:
            try:
                reasons[what] = works[what]()
            except PublishError as error:
                reasons[what] = str(error)
            except Exception as error:  # noqa: BLE001  the edge of this thread: what leaves it here, nobody would see
                reasons[what] = redact_url(f"{type(error).__name__}: {error}")

        threads = [threading.Thread(target=work, args=(what,), daemon=True, name=f"sergas {what}") for what in works]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(remaining_s())
        if failed := "; ".join(f"{what}: {reason}" for what, reason in dict(reasons).items() if reason):
            raise PublishError(f"{self.endpoint.url}: {failed}")
        return Publication(place=self.endpoint.url, lines=tuple((Segment(f"sidecar: {note}"),) for note in notes))

    @property
    def _late(self) -> str:
        return f"no answer within {self.deadline_s:g} s"

    def _push(self, run: RunRecord, remaining_s: Callable[[], float]) -> str:
        """Return why the metrics were not pushed, or ""."""
        try:
            if self.metrics is not None:
                self.metrics.publish(run, remaining_s)
        except PublishError as error:
            return str(error).removeprefix(f"{self.endpoint.url}: ")
        return ""

    def _send(self, run: RunRecord, remaining_s: Callable[[], float], notes: list[str]) -> str:
        """Return why the run was not sent, or ""; what became of earlier ones goes to ``notes``.

        Raises:
            PublishError: the sidecar refuses this run.
        """
        from pytest_sergas.core.ctrf import to_json

        body = gzip.compress(to_json(run), mtime=0)
        if self.cache is None:
            reason = self._sent(body, remaining_s)
            return f"{reason}; not kept, because pytest's cache is off" if reason else ""
        try:
            own = _keep(self.cache, run, body)
        except PublishError as error:
            reason = self._sent(body, remaining_s)
            return f"{reason}; not kept: {error}" if reason else ""
        earlier = [file for file in _kept(self.cache) if file != own]
        return self._send_kept(earlier, remaining_s, notes) or self._send_file(own, remaining_s)

    def _send_kept(self, files: Sequence[Path], remaining_s: Callable[[], float], notes: list[str]) -> str:
        sent = 0
        for file in files:
            try:
                if reason := self._send_file(file, remaining_s):
                    return reason
            except AnsweredError as error:
                notes.append(f"an earlier run is given up: {error}")
            else:
                sent += 1
        if sent:
            notes.append(f"{sent} earlier {'run' if sent == 1 else 'runs'} sent as well")
        return ""

    def _send_file(self, file: Path, remaining_s: Callable[[], float]) -> str:
        """Send what was kept; it goes when it has arrived, and when it never will.

        Raises:
            AnsweredError: the sidecar refuses it.
        """
        try:
            body = file.read_bytes()
        except FileNotFoundError:
            return ""  # another run in this directory has sent it meanwhile
        try:
            reason = self._sent(body, remaining_s)
        except AnsweredError:
            file.unlink(missing_ok=True)
            raise
        if reason:
            return f"{reason}; it is kept and sent with the next run"
        file.unlink(missing_ok=True)
        return ""

    def _sent(self, body: bytes, remaining_s: Callable[[], float]) -> str:
        """Send a document; return why it did not arrive, or "".

        Raises:
            AnsweredError: the sidecar refuses this document.
        """
        if not (left_s := remaining_s()):
            return self._late
        try:
            self.endpoint.send("POST", PATH, _HEADERS, body, left_s)
        except AnsweredError as error:
            if error.status >= 500 or error.status < 400 or error.status in _NOT_ABOUT_THE_RUN:
                return str(error)
            raise
        except PublishError as error:
            return str(error)
        return ""


def _keep(cache: Path, run: RunRecord, body: bytes) -> Path:
    """Write the run beside those that are kept, and give up the oldest of too many."""
    own = cache / f"{round(run.finished_s * 1000):015d}-{_UNUSUAL.sub('_', run.run_id)[:64]}{SUFFIX}"
    write_atomically(own, body)
    for file in _kept(cache)[:-KEPT_RUNS]:
        file.unlink(missing_ok=True)
    return own


def _kept(cache: Path) -> list[Path]:
    """Return the runs that are kept, the oldest first."""
    return sorted(cache.glob(f"*{SUFFIX}"))
