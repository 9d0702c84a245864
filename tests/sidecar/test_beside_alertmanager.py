"""Stories of alerts, drawn and played on the sidecar and on a real Alertmanager: both receivers know the same.

The receiver refuses some messages of each story (400). Meanwhile the sidecar reads another configuration at each step:
routes are renamed, and routes, channels, checks, targets and rules that have nothing to do with it are moved, inserted
and removed. None of it may notify anybody twice, or be seen at all.
"""

from __future__ import annotations

import json
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from tests.servers.alertmanager import Alertmanager
from tests.servers.controlled import reserved_port
from tests.servers.gateways import Answer, Received, answering
from tests.servers.process import until
from tests.servers.sidecar import Sidecar, sidecar

pytestmark = pytest.mark.integration

STORIES = tuple(f"s{number}" for number in range(12))
PARTS = ("a", "b")
STEPS = 4
STEP_S = 2.5  # longer than an evaluation and an interval of a group together
RULE = "groups: [{name: g, rules: [%s{alert: Down, expr: down == 1}]}]\n"
OTHER_RULE = "{alert: Other%d, expr: down == %d}, "

THEIRS = """\
route: {receiver: own, group_by: [story], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}
receivers: [{name: own, webhook_configs: [{url: "URL/theirs", send_resolved: true}]}]
"""


@dataclass
class Heard:
    """What two receivers were sent; both refuse the stories that are in `refused`.

    Attributes:
        messages: path → the story of each message that was taken.
        taken: path → story and part → statuses that were taken, each once in a row.
        messages: path → how many were taken.
    """

    refused: set[str] = field(default_factory=set)
    taken: dict[str, dict[tuple[str, str], list[str]]] = field(default_factory=dict)
    messages: dict[str, list[str]] = field(default_factory=dict)
    refusals: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, received: Received) -> Answer:
        if received.method == "GET":
            return Answer(404)  # to a scrape
        document = json.loads(received.body)
        with self.lock:
            if document["groupLabels"]["story"] in self.refused:
                self.refusals += 1
                return Answer(400)
            known = self.taken.setdefault(received.path, {})
            self.messages.setdefault(received.path, []).append(document["groupLabels"]["story"])
            for alert in document["alerts"]:
                # An Alertmanager sends the end of what it could not tell, together with others of the group.
                statuses = known.setdefault((alert["labels"]["story"], alert["labels"]["part"]), [])
                if (statuses[-1] if statuses else "resolved") != alert["status"]:
                    statuses.append(alert["status"])
            return Answer()

    def known(self, path: str) -> dict[tuple[str, str], list[str]]:
        return {key: list(statuses) for key, statuses in self.taken.get(path, {}).items() if statuses}

    def same(self) -> bool:
        with self.lock:
            return self.known("/ours") == self.known("/theirs")


def config(url: str, chance: random.Random) -> str:
    """Return a configuration that says the same each time, in another order and under other names of routes."""
    number = chance.randrange(1_000_000)
    channels = [
        f'[[channels]]\ntype = "webhook"\nname = "team"\nurl = "{url}/ours"\nmax_alerts_per_minute = 10000\n',
        f'[[channels]]\ntype = "webhook"\nname = "c{number}"\nurl = "{url}/nobody"\n',
    ]
    chance.shuffle(channels)
    checks = [
        f'[[checks]]\ntype = "tcp"\nname = "{name}"\nhost = "127.0.0.1"\nport = 1\n' for name in ("x", f"y{number}")
    ]
    chance.shuffle(checks)
    targets = [f'[[collect.targets]]\nurl = "{url}/t{name}"\njob = "t{name}"\n' for name in ("", number)]
    chance.shuffle(targets)
    paces = 'group_by = ["story"]\ngroup_wait = 0\ngroup_interval = 1\n'
    inserted = [
        f'[[routes]]\nname = "r{number}-{one}"\nmatch = ["nothing=x{one}"]\nchannels = ["c{number}"]\n{paces}'
        for one in range(chance.randrange(3))
    ]
    own = f'[[routes]]\nname = "own{number}"\nmatch = ["alertname=Down"]\nchannels = ["team"]\n{paces}'
    top = 'project = "x"\nalert_cooldown = 0\n'
    rules = '[rules]\nready_made = []\nfiles = ["rules.yml"]\nevaluation_interval = 0.5\n'
    return "".join((top, rules, *channels, *checks, *targets, *inserted, own))


def rules(chance: random.Random) -> str:
    return RULE % "".join(OTHER_RULE % (number, number) for number in chance.sample(range(7, 20), 2))


@dataclass
class Players:
    """A sidecar and an Alertmanager that are told the same, at the same time."""

    ours: Sidecar
    theirs: Alertmanager
    started: float = field(default_factory=time.time)

    def tell(self, firing: Mapping[tuple[str, str], bool]) -> None:
        lines = "".join(
            f'down{{story="{story}",part="{part}"}} {int(is_down)}\n' for (story, part), is_down in firing.items()
        )
        ask(f"{self.ours.url}/metrics/job/shop", "PUT", lines.encode())
        now = time.time()
        alerts = [
            {
                "labels": {"alertname": "Down", "story": story, "part": part},
                **({} if is_down else {"endsAt": at(now)}),
                "startsAt": at(self.started),
            }
            for (story, part), is_down in firing.items()
        ]
        ask(f"{self.theirs.url}/api/v2/alerts", "POST", json.dumps(alerts).encode())


def at(wall_s: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(wall_s))


def ask(url: str, method: str, body: bytes) -> None:
    headers = {"Content-Type": "application/json"} if method == "POST" else {}
    with urlopen(Request(url, body, headers, method=method), timeout=60) as answer:
        assert answer.status == 200


@contextmanager
def players(directory: Path, url: str, chance: random.Random) -> Iterator[Players]:
    with reserved_port() as port:
        theirs = Alertmanager(directory, port, url)
        (directory / "alertmanager.yml").write_text(THEIRS.replace("URL", url), encoding="utf-8")
        (directory / "rules.yml").write_text(rules(chance), encoding="utf-8")
        theirs.start()
        try:
            with sidecar(directory, config=config(url, chance)) as ours:
                yield Players(ours, theirs)
        finally:
            theirs.kill()


def act(chance: random.Random, firing: dict[tuple[str, str], bool], refused: set[str]) -> None:
    """Do one thing in each story: an alert begins or ends, or the receiver begins or stops refusing."""
    for story in STORIES:
        match chance.choice(("alert", "alert", "receiver", "nothing")):
            case "alert":
                part = chance.choice(PARTS)
                firing[story, part] = not firing.get((story, part), False)
            case "receiver":
                refused ^= {story}


def test_receivers_of_the_sidecar_and_of_an_alertmanager_know_the_same_after_any_story(tmp_path: Path) -> None:
    chance = random.Random(7)  # noqa: S311  the same stories at every run
    heard, firing = Heard(), dict[tuple[str, str], bool]()
    with answering(heard.answer) as receiver, players(tmp_path, receiver.url, chance) as both:
        for _ in range(STEPS):
            act(chance, firing, heard.refused)
            (tmp_path / "sergas.toml").write_text(config(receiver.url, chance), encoding="utf-8")
            (tmp_path / "rules.yml").write_text(rules(chance), encoding="utf-8")
            both.ours.send(signal.SIGHUP)
            both.tell(firing)
            time.sleep(STEP_S)  # both have intervals of real time
        heard.refused.clear()
        both.ours.send(signal.SIGHUP)
        until(heard.same, "both receivers know the same", deadline_s=30)
        time.sleep(STEP_S)

    known = heard.known("/ours")
    assert known == heard.known("/theirs")
    assert set(heard.messages) == {"/ours", "/theirs"}  # nobody else was sent anything
    assert Counter(heard.messages["/ours"]) <= Counter(heard.messages["/theirs"])
    assert heard.refusals
    assert {len(statuses) for statuses in known.values()} >= {1, 2}
    for key, is_down in firing.items():
        assert known.get(key, ["resolved"])[-1] == ("firing" if is_down else "resolved"), key
