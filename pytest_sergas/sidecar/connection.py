"""A connection to a client, which has deadlines, and limits on what it may send before the application is asked.

A client that has begun a request and does not finish it, one that is connected and says nothing, and one that
does not read its answer each end at a deadline. There is a cap on all connections together: beyond it the one that has
waited longest for its client makes room, so that clients that hold connections open keep nobody else out. An answer
goes out in one piece.

    waiting for         how long                    what then
    head of a request   header_timeout              408, closed
    body of a request   body_timeout                408 where nothing was answered yet, closed
    next request        KEEP_ALIVE_S                closed
    client that reads   body_timeout                cut off
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

from pytest_sergas.core.clock import Now
from pytest_sergas.core.metrics import Family, Sample
from pytest_sergas.sidecar.foreign import HttpToolsProtocol
from pytest_sergas.sidecar.gathering import GatheringTransport

HEAD_LIMIT_BYTES = 32 * 1024
KEEP_ALIVE_S = 75  # longer than any usual scrape interval: a scraper keeps its connection

_TOO_LARGE = f"the head of the request is larger than {HEAD_LIMIT_BYTES // 1024} KiB\n"


@dataclass(slots=True)
class Limits:
    """What every connection is held to; may be changed while connections are open, and then counts for new waits."""

    connections: int
    header_s: float
    body_s: float


@dataclass(slots=True)
class Connections:
    """All open connections.

    Attributes:
        waiting: those that wait for their client, the one that has waited longest first.
        ended: reason → how many were ended from here for it.
    """

    limits: Limits
    open: set[Connection] = field(default_factory=set)
    waiting: dict[Connection, None] = field(default_factory=dict)
    ended: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("deadline", "evicted", "head_too_large", "refused"), 0)
    )

    def protocol(self) -> type[asyncio.Protocol]:
        """Return the class of the connections that are counted here, as uvicorn wants it."""

        class Counted(Connection):
            shared = self

        return Counted

    def admit(self, connection: Connection) -> bool:
        """Count a new connection; False when there is no room, because every other one has a request in progress."""
        if len(self.open) >= self.limits.connections:
            if not self.waiting:
                self.ended["refused"] += 1
                return False
            next(iter(self.waiting)).end("evicted")
        self.open.add(connection)
        return True

    def families(self, now: Now) -> tuple[Family, ...]:
        """Return what is counted here as metrics."""
        del now
        ended = tuple(Sample((("reason", reason),), float(count)) for reason, count in self.ended.items())
        return (
            Family(
                "sergas_http_connections",
                "gauge",
                "Connections that are open.",
                (Sample((), float(len(self.open))),),
            ),
            Family(
                "sergas_http_connections_ended_total",
                "counter",
                "Connections that the server ended, by reason.",
                ended,
            ),
        )


class Connection(HttpToolsProtocol):
    """uvicorn's connection with deadlines and limits; `Connections.protocol` makes the class that is used."""

    shared: ClassVar[Connections]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._deadline_s = math.inf  # by the loop's clock
        self._timer: asyncio.TimerHandle | None = None  # goes off at the deadline, or before it and is set again
        self._reading: asyncio.TimerHandle | None = None
        self._in_message = False  # from the first byte of a request to its last
        self._in_head = False
        self._ended = False
        self._head_bytes = 0  # of the complete lines
        self._loose_bytes = 0  # received since the last complete head or piece of body

    # The transport calls these.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn narrows it
        self._gathering = GatheringTransport(transport, self.loop)
        super().connection_made(self._gathering)
        if self.shared.admit(self):
            self._wait(self.shared.limits.header_s)
        else:
            self._answer(503, "all connections have a request in progress; try again\n")

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._ended:
            return
        self._loose_bytes += len(data)
        super().data_received(data)
        if self._in_message and self._loose_bytes > HEAD_LIMIT_BYTES:
            self._refuse_head()
        elif self._in_message and not self._ended:
            self._gathering.acknowledge()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._reading = self.loop.call_later(self.shared.limits.body_s, self.end, "deadline")

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_reading_deadline()

    # The parser calls these.

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_message = self._in_head = True
        self._head_bytes = self._loose_bytes = 0
        self._wait(self.shared.limits.header_s)

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        self._head_bytes += len(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        self._head_bytes += len(name) + len(value)

    def on_headers_complete(self) -> None:
        if self._head_bytes > HEAD_LIMIT_BYTES:
            self._refuse_head()
        if not self._ended:
            self._in_head = False
            self._loose_bytes = 0
            self._wait(self.shared.limits.body_s)
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if not self._ended:
            self._loose_bytes = 0
            super().on_body(body)

    def on_message_complete(self) -> None:
        if not self._ended:
            self._in_message = False
            self._stop_waiting()
            super().on_message_complete()

    # The response calls this.

    def on_response_complete(self) -> None:
        self._gathering.flush()
        super().on_response_complete()
        # A request that came meanwhile is in progress by now, or has a deadline of its own.
        if self.cycle.response_complete and not self._in_message and not self.transport.is_closing():
            self._wait(KEEP_ALIVE_S)

    def end(self, reason: str) -> None:
        """Cut the connection off, whatever it is doing."""
        self.shared.ended[reason] += 1
        self._forget()
        self.transport.abort()

    def _wait(self, seconds: float) -> None:
        if self._ended:
            return
        # Three times for each request: so a timer that goes off too early is left alone.
        self._deadline_s = self.loop.time() + seconds
        if self._timer is None or self._timer.when() > self._deadline_s:
            self._set_timer()
        self.shared.waiting.setdefault(self)

    def _set_timer(self) -> None:
        self._stop_timer()
        self._timer = self.loop.call_at(self._deadline_s, self._go_off)

    def _go_off(self) -> None:
        self._timer = None
        if self._deadline_s <= self.loop.time():
            self._expire()
        elif self._deadline_s < math.inf:
            self._set_timer()

    def _expire(self) -> None:
        self.shared.ended["deadline"] += 1
        if self._in_message and self._is_unanswered():
            self._answer(408, "the request did not arrive in time\n")
        else:
            self._forget()
            self.transport.close()

    def _is_unanswered(self) -> bool:
        """Whether nothing has been said to the request that is coming, nor is being said to the one before it."""
        if self.cycle is None:
            return True
        return self.cycle.response_complete if self._in_head else not self.cycle.response_started

    def _refuse_head(self) -> None:
        if not self._ended:
            self.shared.ended["head_too_large"] += 1
            self._answer(431, _TOO_LARGE)

    def _answer(self, status: int, text: str) -> None:
        """Answer in the application's place, and close."""
        self._forget()
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        head = f"HTTP/1.1 {status} \r\ncontent-type: text/plain; charset=utf-8\r\n"
        head += f"content-length: {len(text)}\r\nx-content-type-options: nosniff\r\nconnection: close\r\n\r\n"
        self.transport.write((head + text).encode())
        self.transport.close()

    def _forget(self) -> None:
        self._ended = True
        self._stop_waiting()
        self._stop_timer()
        self._stop_reading_deadline()
        self.shared.open.discard(self)

    def _stop_waiting(self) -> None:
        self._deadline_s = math.inf
        self.shared.waiting.pop(self, None)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _stop_reading_deadline(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None
