"""A running sidecar whose configuration changes, by SIGHUP and by a restart: who hears of an alert that fires."""

from __future__ import annotations

import json
import signal
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.servers.gateways import Answer, Answering, Received, answering
from tests.servers.process import until
from tests.servers.sidecar import Sidecar, sidecar

pytestmark = pytest.mark.integration

RULES = """\
groups:
  - name: g
    rules:
      - {alert: Down, expr: up_x == 0, labels: {severity: error}}
"""
PACE = "group_wait = 0\ngroup_interval = 1\n"


class Served:
    """A sidecar on one store that is told to follow another configuration."""

    def __init__(self, directory: Path, hook: Answering, stack: ExitStack) -> None:
        self.directory, self.hook, self.stack = directory, hook, stack
        self.starts = 0
        (directory / "r.yml").write_text(RULES, encoding="utf-8")

    def configuration(self, channels: str, routes: str) -> str:
        names = [
            f'[[channels]]\ntype = "webhook"\nname = "{name}"\nurl = "{self.hook.url}/{name}"\n'
            for name in channels.split()
        ]
        head = 'project = "x"\n[rules]\nready_made = []\nfiles = ["r.yml"]\nevaluation_interval = 1\n'
        return head + "".join(names) + routes

    def start(self, config: str) -> None:
        self.starts += 1
        self.inner = ExitStack()
        options = ("--store", "s.db")
        entered = sidecar(self.directory, *options, config=config, name=f"sidecar-{self.starts}")
        self.running: Sidecar = self.inner.enter_context(entered)
        self.stack.push(self.inner)

    def change(self, config: str, how: str) -> None:
        if how == "restart":
            self.inner.close()
            self.start(config)
            return
        (self.directory / "sergas.toml").write_text(config, encoding="utf-8")
        before = self.running.printed.count("was read again")
        self.running.send(signal.SIGHUP)
        until(
            lambda: self.running.printed.count("was read again") > before,
            "it follows the configuration",
            self.running.log,
            deadline_s=60,
        )

    def push(self, value: int) -> None:
        body = f"up_x {value}\n".encode()
        request = urllib.request.Request(f"{self.running.url}/metrics/job/shop", data=body, method="POST")
        urllib.request.urlopen(request, timeout=60).close()

    def heard(self) -> list[tuple[str, str]]:
        return [(one.path.strip("/"), json.loads(one.body)["status"]) for one in self.hook.received]

    def hears(self, *expected: tuple[str, str]) -> None:
        until(lambda: len(self.heard()) >= len(expected), f"{expected} are heard", self.running.log, deadline_s=60)
        assert self.heard() == list(expected)


@pytest.fixture
def refusing() -> set[str]:
    """Return the paths that are refused."""
    return set()


@pytest.fixture
def served(tmp_path: Path, refusing: set[str]) -> Iterator[Served]:
    def answer(request: Received) -> Answer:
        return Answer(401 if request.path.strip("/") in refusing else 200)

    with ExitStack() as stack:
        yield Served(tmp_path, stack.enter_context(answering(answer)), stack)


@pytest.mark.parametrize("how", ["SIGHUP", "restart"])
@pytest.mark.parametrize(
    ("first", "second"), [("", ""), ('name = "one"\n', 'name = "two"\n')], ids=["unnamed", "named"]
)
def test_route_inserted_before_another_tells_nobody_anything(how: str, first: str, second: str, served: Served) -> None:
    team = f'[[routes]]\n{first}channels = ["team"]\n{PACE}'
    pager = f'[[routes]]\n{first}match = ["severity=critical"]\nchannels = ["pager"]\n{PACE}'
    served.start(served.configuration("team pager", team))
    served.push(0)
    served.hears(("team", "firing"))
    served.change(served.configuration("pager team", pager + team.replace(first, second, 1)), how)
    served.push(1)

    served.hears(("team", "firing"), ("team", "resolved"))


def test_channel_that_is_renamed_is_gone_and_new(served: Served) -> None:
    served.start(served.configuration("team", ""))
    served.push(0)
    served.hears(("team", "firing"))
    served.change(served.configuration("crew", ""), "SIGHUP")
    served.hears(("team", "firing"), ("crew", "firing"))
    served.push(1)

    served.hears(("team", "firing"), ("crew", "firing"), ("crew", "resolved"))


def test_receiver_that_refused_is_told_when_it_has_been_put_right(served: Served, refusing: set[str]) -> None:
    route = '[[routes]]\nchannels = ["team"]\ngroup_wait = 0\ngroup_interval = 3600\n'
    config = served.configuration("team", route)
    refusing.add("team")
    served.start(config)
    served.push(0)
    served.hears(("team", "firing"))
    refusing.clear()
    served.change(config, "SIGHUP")

    served.hears(("team", "firing"), ("team", "firing"))
