"""The groups and the status as the Pushgateway's JSON has them."""

from __future__ import annotations

import asyncio
import json
import platform
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from pytest_sergas.config.groups import GroupSettings
from pytest_sergas.core.clock import Now
from pytest_sergas.core.exposition import BOUND_LABEL, header, number, parse
from pytest_sergas.core.metrics import Family, Sample
from pytest_sergas.engine.groups import Group
from pytest_sergas.engine.index import Piece
from pytest_sergas.version import VERSION

_SLICE = 20  # groups; about two milliseconds


async def groups_document(groups: Sequence[Group]) -> bytes:
    """Return the answer of ``/api/v1/metrics``; other requests get their turn in between."""
    entries = []
    for index, group in enumerate(groups):
        entries.append(json.dumps(_group(group)))
        if index % _SLICE == 0:
            await asyncio.sleep(0)
    return f'{{"status":"success","data":[{",".join(entries)}]}}'.encode()


def status_document(settings: GroupSettings, started: Now) -> bytes:
    """Return the answer of ``/api/v1/status``."""
    flags = {
        "groups.ttl": number(settings.ttl),
        "groups.max_groups": str(settings.max_groups),
        "groups.max_series": str(settings.max_series),
        "groups.max_push_mib": str(settings.max_push_mib),
        "groups.max_push_series": str(settings.max_push_series),
        "groups.max_store_mib": str(settings.max_store_mib),
    }
    data = {
        "build_information": {"version": VERSION, "pythonVersion": platform.python_version()},
        "flags": flags,
        "start_time": _time(started.wall_s),
    }
    return json.dumps({"status": "success", "data": data}).encode()


def _group(group: Group) -> dict[str, Any]:
    families = {piece.name: _family(piece) for piece in group.pieces.values()}
    return {"labels": group.labels, "last_push_successful": group.last_push_succeeded, **families}


def _family(piece: Piece) -> dict[str, Any]:
    # The lines are the only form in which a piece is kept; this is asked for rarely.
    (family,) = parse(header(piece.name, piece.type, piece.help).encode() + piece.text)
    return {
        "time_stamp": _time(piece.pushed_s),
        "type": family.type.upper(),
        "help": family.help,
        "metrics": list(_metrics(family)),
    }


def _metrics(family: Family) -> Iterator[dict[str, Any]]:
    bound = BOUND_LABEL.get(family.type)
    if bound is None:
        for sample in family.samples:
            yield {"labels": dict(sample.labels), "value": number(sample.value)}
        return
    bounds: dict[str, str] = {}
    total = ""
    for sample in family.samples:
        if sample.suffix == "_sum":
            total = number(sample.value)
        elif sample.suffix == "_count":
            key = "buckets" if family.type == "histogram" else "quantiles"
            yield {"labels": dict(sample.labels), key: bounds, "count": number(sample.value), "sum": total}
            bounds = {}
        else:
            bounds[_bound(sample)] = number(sample.value)


def _bound(sample: Sample) -> str:
    return sample.labels[-1][1]


def _time(wall_s: float) -> str:
    return datetime.fromtimestamp(wall_s, UTC).isoformat().replace("+00:00", "Z")
