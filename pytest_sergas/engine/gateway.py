"""What this process measures, pushed to a Pushgateway: one group of job and instance, replaced at each interval.

Own and collected metrics are pushed; neither what was pushed here, nor what runs of tests have left. A gateway that is
this sidecar itself, which it says at ``/-/healthy``, has all of that already, and is skipped.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from pytest_sergas.core.address import split
from pytest_sergas.core.clock import Now
from pytest_sergas.core.grouping import to_path
from pytest_sergas.core.metrics import Family, Sample
from pytest_sergas.core.text import one_line, redact_url

if TYPE_CHECKING:
    import httpx2

INSTANCE = "Sergas-Instance"  # the header that says which process answers
RESULTS = ("sent", "failed", "skipped")
PUSHES = "sergas_gateway_pushes_total"

_TIMEOUT_S = 10.0
_REASON_LIMIT = 200
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Target:
    """Where to push, and as what.

    Attributes:
        url: "" for nowhere; user name and password may stand in it.
        interval_s: seconds from one push to the next.
        job: label of the group; ``instance`` is the machine's name unless given.
        environ: the environment variables, for credentials.
        ttl_s: after how many seconds without a push a sidecar forgets the group; None for never.
    """

    url: str
    interval_s: float
    job: str
    instance: str = ""
    environ: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    ttl_s: float | None = None

    @property
    def place(self) -> str:
        """Where it is, without credentials."""
        return split(self.url).url

    @property
    def path(self) -> str:
        """The path of the group."""
        return to_path({"job": self.job, "instance": self.instance or socket.gethostname()})

    def headers(self) -> dict[str, str]:
        """Return how long the group lives, and what shows that we may push: in the URL, or in the environment."""
        ttl = {} if self.ttl_s is None else {"Sergas-TTL": f"{self.ttl_s:g}"}
        return {**ttl, **self._authorization()}

    def _authorization(self) -> dict[str, str]:
        where = split(self.url)
        username = where.username or self.environ.get("SERGAS_PUSH_USERNAME", "")
        password = where.password or self.environ.get("SERGAS_PUSH_PASSWORD", "")
        if username:
            return {"Authorization": f"Basic {base64.b64encode(f'{username}:{password}'.encode()).decode()}"}
        token = self.environ.get("SERGAS_PUSH_TOKEN", "")
        return {"Authorization": f"Bearer {token}"} if token else {}


class Gateway:
    """Pushes the page again and again. `start` and `stop` once each, in one event loop.

    Args:
        target: where to; `follow` changes it.
        page: returns what is pushed, in the text format.
        own_id: what this process says of itself.
    """

    def __init__(self, target: Target, page: Callable[[], bytes], own_id: str) -> None:
        self._target = target
        self._page = page
        self._own_id = own_id
        self._counts = dict.fromkeys(RESULTS, 0)
        self._last = ""  # what came of the last push, in words; each is said once
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self, measured: Callable[[], Awaitable[None]]) -> None:
        """Begin, when everything that is ``measured`` has been once."""
        self._task = asyncio.get_running_loop().create_task(self._push_for_ever(measured), name="sergas gateway")

    def follow(self, target: Target) -> None:
        """Go on with another target, at once."""
        if target != self._target:
            self._target, self._last = target, ""
            self._changed.set()

    async def stop(self) -> None:
        """Push nothing more; the group stays, as Prometheus' own clients leave theirs."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def families(self, now: Now) -> tuple[Family, ...]:
        """Return what became of the pushes; nothing where none is asked for."""
        del now
        if not self._target.url:
            return ()
        samples = tuple(Sample((("result", result),), count) for result, count in self._counts.items())
        return (Family(PUSHES, "counter", "Pushes of own and collected metrics to the gateway by result.", samples),)

    async def _push_for_ever(self, measured: Callable[[], Awaitable[None]]) -> None:
        await measured()
        while True:
            target = self._target
            self._changed.clear()
            if target.url:
                await self._push(target)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), target.interval_s if target.url else None)

    async def _push(self, target: Target) -> None:
        import httpx2

        timeout_s = min(target.interval_s, _TIMEOUT_S)
        async with httpx2.AsyncClient(timeout=timeout_s, trust_env=False) as client:
            try:
                if await self._is_this_process(client, target.place):
                    self._note("skipped", f"{target.place} is this sidecar itself; nothing is pushed there")
                    return
                answer = await client.put(
                    f"{target.place}{target.path}",
                    content=self._page(),
                    headers={"Content-Type": "text/plain; version=0.0.4", **target.headers()},
                )
            except httpx2.HTTPError as error:
                reason = redact_url(str(error)) or type(error).__name__
                self._note("failed", f"{target.place} takes no metrics: {one_line(reason, _REASON_LIMIT)}")
                return
        if answer.is_success:
            self._note("sent", "")
        else:
            said = one_line(f"it answered {answer.status_code}: {answer.text[:_REASON_LIMIT]}", _REASON_LIMIT)
            self._note("failed", f"{target.place} takes no metrics: {said}")

    async def _is_this_process(self, client: httpx2.AsyncClient, place: str) -> bool:
        answer = await client.get(f"{place}/-/healthy")
        return answer.headers.get(INSTANCE) == self._own_id

    def _note(self, result: str, text: str) -> None:
        """Count a result; what is new about it is said in one line."""
        self._counts[result] += 1
        if text and text != self._last:
            _LOG.warning("%s", text)
        self._last = text
