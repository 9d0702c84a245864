"""A sidecar full of runs, and a browser that looks at it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser

from pytest_sergas.sidecar.alerts import TEXT_LIMIT
from tests.servers.chromium import chromium
from tests.servers.process import until
from tests.servers.sidecar import Sidecar, sidecar
from tests.sidecar.conftest import ask
from tests.sidecar.pages import made

CONFIG = """\
health_check_interval = 1

[rules]
ready_made = []

[[checks]]
type = "tcp"
name = "database"
host = "127.0.0.1"
port = 1

[[checks]]
type = "python"
name = "disk"
call = "disks:full"
"""

HOSTILE_CONFIG = """\
[[checks]]
type = "python"
name = "harm"
call = "harm:found"
"""


@pytest.fixture(scope="module")  # while it runs, the thread has an event loop, which tests of coroutines do not bear
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    """A sidecar with seven runs of a shop, the newest of which has a failure; two components and two groups.

    Nobody changes anything in it.
    """
    directory: Path = tmp_path_factory.mktemp("shop")
    (directory / "disks.py").write_text("def full():\n    return 'half full'\n", encoding="utf-8")
    with sidecar(directory, config=CONFIG) as running:
        made.send(running, *(made.shop_run(number, fails=number == 6) for number in range(7)))
        ask(running.url, "/metrics/job/backup/host/db-1", "POST", body=b"# HELP backup_bytes Size.\nbackup_bytes 3e9\n")
        ask(running.url, "/metrics/job/etl", "POST", body=b"rows 3\n")
        ask(running.url, "/metrics/job/etl", "POST", body=b"rows 3 1234\n")
        until(lambda: ask(running.url, "/").text.count("in 24 hours") == 2, "both checks have run twice")
        yield running


@pytest.fixture(scope="module")
def rare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    """A sidecar with plots of the system, a run of shards that are joined, and a run of another tool."""
    config = "[collect]\ninterval = 1\n\n[rules]\nready_made = []\nevaluation_interval = 1\n"
    with sidecar(tmp_path_factory.mktemp("rare"), config=config) as running:
        made.send(running, *made.shards())
        made.send_document(running, made.foreign_document("other"))
        until(lambda: "CPU over the last" in ask(running.url, "/").text, "the system is plotted", running.log)
        yield running


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    """A sidecar whose runs, groups, component and silence mean harm by every text that they bring."""
    directory: Path = tmp_path_factory.mktemp("hostile")
    (directory / "harm.py").write_text(f"def found():\n    return {made.HOSTILE!r} + {made.LONG!r}\n", encoding="utf-8")
    with sidecar(directory, config=HOSTILE_CONFIG) as running:
        made.send(running, *(made.hostile_run(number) for number in range(2)))
        unreadable = {"dependencies": [{"name": "x", "availability": made.HOSTILE}]}
        results = {"summary": {"start": 1, "stop": 2}, "tool": {}, "extra": unreadable}
        document = made.foreign_document("foreign", results, rawStatus=made.HOSTILE, type=made.HOSTILE)
        made.send_document(running, document)
        made.send(running, made.long_run(2))
        for path, text in (
            (made.group_path(made.HOSTILE, branch=made.HOSTILE), made.HARM),
            (made.group_path(made.LONG), made.RIGHT_TO_LEFT),
            (made.group_path("long", branch=made.LONG), made.LONG),
            (made.group_path("long", **{made.LONG: "value"}), made.LONG),
        ):
            body = f'# HELP m {text}\nm{{l="{text}"}} 1\n'
            assert ask(running.url, path, "POST", body=body.encode()).status == 200
        for text in (made.HOSTILE, made.LONG[:TEXT_LIMIT]):
            fields = {"matchers": f'branch="{made.LONG[:900]}"', "comment": text, "created_by": text}
            assert ask(running.url, "/alerts/silence", "POST", body=urlencode(fields).encode()).status == 303
        until(lambda: made.RIGHT_TO_LEFT in ask(running.url, "/components").text, "the check has run")
        yield running
