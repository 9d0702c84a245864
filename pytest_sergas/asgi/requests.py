"""A middleware that records requests by the template of their route, because paths grow without bound.

What no route matches is `UNMATCHED`; in an application without a router it is the path. In any case only the first
`max_endpoints` of them have series of their own. A request is timed until its answer begins: how long a client takes
to read it, a stream stays open and a background task runs is not the time of the request. The handshake of a WebSocket
is a request too: ``GET``, answered by 101 when the application accepts it.
"""

from __future__ import annotations

import time

from pytest_sergas.asgi.protocol import App, Message, Receive, Scope, Send
from pytest_sergas.asgi.templates import Templates
from pytest_sergas.collectors.http_requests import HttpRequests

FAILED = 500  # what a server answers to a request whose application has raised
SWITCHING_PROTOCOLS = 101
FORBIDDEN = 403  # what a server answers to a handshake that the application closes


class RequestsMiddleware:
    """Records every HTTP request: method, endpoint, status, duration; how many are in flight; what was raised.

    Written for ASGI itself, so that bodies are streamed as ever. Add it last, to have it outermost. What the
    application raises goes on as it came.

    Args:
        requests: where they are recorded.
    """

    def __init__(self, app: App, *, requests: HttpRequests) -> None:
        self._app = app
        self._requests = requests
        self._templates = Templates(app)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        request = _Request(scope, self._requests, self._templates)

        async def watched(message: Message) -> None:
            await send(message)
            request.sent(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:
            request.raised(error)
            raise
        finally:
            request.ended()


class _Request:
    """One request, or the handshake of a WebSocket: what is recorded of it, each thing once."""

    def __init__(self, scope: Scope, requests: HttpRequests, templates: Templates) -> None:
        self._scope = scope
        self._before = {key: scope[key] for key in ("path", "root_path") if key in scope}
        self._requests = requests
        self._templates = templates
        self._method = scope.get("method", "GET")
        self._is_answered = self._has_ended = False
        requests.begins()
        self._started_s = time.perf_counter()

    def sent(self, message: Message) -> None:
        """Note a message of the application."""
        kind = message["type"]
        if kind in {"http.response.start", "websocket.http.response.start"}:
            self._answered(message["status"])
        elif kind == "websocket.accept":
            self._answered(SWITCHING_PROTOCOLS)
            self._out_of_flight()  # what follows is a conversation, which may last for days
        elif kind == "websocket.close":
            self._answered(FORBIDDEN)
            self._out_of_flight()
        elif kind.endswith("http.response.body") and not message.get("more_body", False):
            self._out_of_flight()

    def raised(self, error: Exception) -> None:
        self._answered(FAILED)
        self._requests.raised(self._method, self._endpoint(), type(error).__name__)

    def ended(self) -> None:
        """Note that the application has returned, or was cancelled because the client has gone."""
        if self._scope["type"] == "http":
            self._answered(0)
        self._out_of_flight()

    def _answered(self, status: int) -> None:
        if not self._is_answered:
            self._is_answered = True
            duration_s = time.perf_counter() - self._started_s
            self._requests.answered(self._method, self._endpoint(), status, duration_s)

    def _out_of_flight(self) -> None:
        if not self._has_ended:
            self._has_ended = True
            self._requests.ends()

    def _endpoint(self) -> str:
        return self._templates.template(self._before, self._scope)
