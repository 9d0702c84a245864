"""The metrics of a run in a Pushgateway: one group for each type.

    job = the project, type = the type of the tests, shard = which part of the suite ran, where it was
    split, and what push_labels adds or replaces

Groups are sent with POST (``pushadd`` in prometheus_client), which replaces the families that are sent and
leaves the others: the time of the last success survives a run that failed. All groups are sent at once,
each on a thread of its own, because one that hangs must not keep the others from arriving.

prometheus_client renders and frames a push; sending is left to our handler, because its own follows
redirects with a GET, knows no deadline for the whole, and keeps the gateway's text to itself.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pytest_sergas.core.grouping import GroupingKeyError, to_path
from pytest_sergas.core.metrics import SAMPLE_LABELS, run_families
from pytest_sergas.core.records import Environment, RunRecord
from pytest_sergas.core.summary import TypeSummary, summarise
from pytest_sergas.core.text import one_line, redact_url
from pytest_sergas.errors import ConfigurationError, PublishError
from pytest_sergas.publishers import Context, Publication
from pytest_sergas.publishers.endpoint import Endpoint, endpoint
from pytest_sergas.publishers.registry import Families

LABEL_LIMIT = 200


def create(context: Context) -> Pushgateway | None:
    """Return the publisher, or None when no gateway is named.

    Raises:
        ConfigurationError: the address, the credentials or the labels cannot be used.
    """
    settings = context.settings
    if not settings.push:
        return None
    faults: list[str] = []
    where = endpoint("push", settings.push, context, faults)
    faults += [
        f"{context.named('push_labels')}: {name!r} is a label of the metrics themselves; choose another name"
        for name in settings.push_labels
        if name in SAMPLE_LABELS
    ]
    if faults:
        raise ConfigurationError(tuple(faults))
    return Pushgateway(where, settings.push_labels, settings.slowest, settings.publish_deadline)


@dataclass(frozen=True, slots=True)
class Pushgateway:
    """Pushes the types of a run as groups."""

    endpoint: Endpoint
    labels: Mapping[str, str]
    slowest: int
    deadline_s: float
    name: str = "pushgateway"
    writes: tuple[Path, ...] = ()

    def publish(self, run: RunRecord, remaining_s: Callable[[], float]) -> Publication:
        summaries = summarise(run, slowest=self.slowest)
        if not summaries:
            return Publication()
        late = f"no answer within {self.deadline_s:g} s"
        reasons = dict.fromkeys((summary.type for summary in summaries), late)
        labels = filled(self.labels, run.environment)

        def push(summary: TypeSummary) -> None:
            try:
                # A little more than there is, so that it is the wait below that ends, and says so.
                self._push(run, summary, labels, remaining_s() + 1)
            except (PublishError, GroupingKeyError) as error:
                reasons[summary.type] = str(error)
            except Exception as error:  # noqa: BLE001  the edge of this thread: what leaves it here, nobody would see
                reasons[summary.type] = redact_url(f"{type(error).__name__}: {error}")
            else:
                del reasons[summary.type]

        threads = [
            threading.Thread(target=push, args=(summary,), daemon=True, name=f"sergas push {summary.type}")
            for summary in summaries
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(remaining_s())
        if failed := _by_reason(dict(reasons)):
            raise PublishError(f"{self.endpoint.url}: {failed}")
        return Publication(place=self.endpoint.url)

    def _push(self, run: RunRecord, summary: TypeSummary, labels: Mapping[str, str], timeout_s: float) -> None:
        from prometheus_client import pushadd_to_gateway

        shard = {"shard": run.shard} if run.shard else {}
        key = {"type": summary.type, **shard, **labels}
        job = one_line(run.project, LABEL_LIMIT)
        # prometheus_client leaves "." and ".." in a path, which servers take for steps.
        path = to_path({"job": job, **key})

        def handler(
            url: str, method: str, timeout: float | None, headers: list[tuple[str, str]], data: bytes
        ) -> Callable[[], None]:
            del url, timeout
            return lambda: self.endpoint.send(method, path, headers, data, timeout_s)

        families = Families(run_families(run, (summary,)))
        pushadd_to_gateway(self.endpoint.url, job, families, key, handler=handler)


def filled(labels: Mapping[str, str], environment: Environment) -> dict[str, str]:
    """Return ``labels`` with ``{branch}``, ``{job}`` and ``{provider}`` filled in; what is unknown is empty."""
    known = {"branch": environment.branch, "job": environment.job, "provider": environment.provider}
    return {name: one_line(text.format_map(known), LABEL_LIMIT) for name, text in labels.items()}


def _by_reason(reasons: Mapping[str, str]) -> str:
    """Return the types that were not sent, those with the same reason together; "" when there are none."""
    types: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        types.setdefault(reason, []).append(name)
    return "; ".join(f"{', '.join(names)}: {reason}" for reason, names in types.items())
