"""For applications that speak ASGI: a middleware that records requests, and the sidecar as a part of the application.

app.add_middleware(RequestsMiddleware, requests=system.metrics_collector.http_requests)
app.mount("/sergas", sidecar_app(system))
"""

from __future__ import annotations

from pytest_sergas.asgi.mounted import sidecar_app
from pytest_sergas.asgi.requests import RequestsMiddleware
from pytest_sergas.asgi.templates import UNMATCHED

__all__ = ["UNMATCHED", "RequestsMiddleware", "sidecar_app"]
