"""Forwarding: a program's metrics, pushed to a sidecar as a group of this process that is forgotten when it ends."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from urllib.parse import quote

from pytest_sergas.core.exposition import render
from pytest_sergas.core.monitoring import joined
from pytest_sergas.core.text import redact_url
from pytest_sergas.engine import clock
from pytest_sergas.engine.engine import Engine

LOG = logging.getLogger(__name__)


async def forward_for_ever(sidecar_url: str, job: str, interval_s: float, engine: Engine) -> None:
    """Begin to push what ``engine`` measures; it goes on until the engine stops.

    Args:
        job: the label ``job`` of the group.
        interval_s: seconds from one push to the next.
    """
    engine.run(_forward(sidecar_url, job, interval_s, engine), name="forward metrics")


async def _forward(sidecar_url: str, job: str, interval_s: float, engine: Engine) -> None:
    import httpx2

    instance = quote(f"{socket.gethostname()}:{os.getpid()}", safe="")
    url = f"{sidecar_url.rstrip('/')}/metrics/job/{quote(job, safe='')}/instance/{instance}"
    headers = {"Sergas-TTL": f"{max(3 * interval_s, 1.0):g}"}
    failing = False
    await engine.collection.asked()
    async with httpx2.AsyncClient(timeout=min(interval_s, 10.0), trust_env=False) as client:
        while True:
            # Not what was pushed here, and not the metrics of runs, which pytest sends itself.
            page = render(joined(family for source in engine.sources for family in source.families(clock.read())))
            try:
                (await client.put(url, content=page, headers=headers)).raise_for_status()
                failing = False
            except httpx2.HTTPError as error:
                if not failing:
                    LOG.warning("%s takes no metrics: %s", redact_url(url), redact_url(str(error)))
                failing = True
            await asyncio.sleep(interval_s)
