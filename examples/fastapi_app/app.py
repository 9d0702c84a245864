"""A FastAPI application that is monitored: requests by route, health, metrics, the sidecar's routes below /sergas."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.responses import PlainTextResponse

from pytest_sergas import ComprehensiveMonitoringSystem
from pytest_sergas.asgi import RequestsMiddleware, sidecar_app

system = ComprehensiveMonitoringSystem()
app = FastAPI(lifespan=system.lifespan)
app.add_middleware(RequestsMiddleware, requests=system.metrics_collector.http_requests)
app.mount("/sergas", sidecar_app(system))


@app.get("/users/{user_id}")
async def user(user_id: int) -> dict[str, int]:
    return {"id": user_id}


@app.get("/health")
async def health() -> dict[str, Any]:
    return (await system.health_checker.get_overall_health()).to_dict()


@app.get("/metrics")
async def metrics() -> PlainTextResponse:
    return PlainTextResponse(system.metrics_collector.get_prometheus_metrics())
