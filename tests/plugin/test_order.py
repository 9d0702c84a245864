"""Options and plugins that put tests in another order: with types, workers and gates they keep their meaning."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.plugin.conftest import OURS_ALONE
from tests.test_cli import sergas

pytestmark = pytest.mark.integration

SUITE = """
import os
import pytest

pytestmark = pytest.mark.unit

@pytest.fixture(autouse=True)
def begun(request):
    with open(os.environ["BEGUN"], "a") as file:
        file.write(f"{os.environ.get('PYTEST_XDIST_WORKER', 'alone')} {request.node.name}\\n")

@pytest.mark.parametrize("n", range(12))
def test_one(n): pass

def test_fails(): assert os.path.exists("mended")

@pytest.mark.parametrize("n", range(8))
def test_two(n): pass
"""
BEGINNING = SUITE.partition("@pytest.mark.parametrize")[0]
SMOKE = BEGINNING.replace("mark.unit", "mark.smoke") + "def test_smoke(): pass\n"
GATE = "[types.smoke]\ngate = true\n"


class Begun:
    """Runs the suite, and knows which of its tests began in which order."""

    def __init__(self, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path, self._run, self._monkeypatch = pytester.path, pytester.runpytest_subprocess, monkeypatch
        self._runs = 0

    def by_worker(self, *arguments: str) -> list[tuple[str, str]]:
        """Return worker and name of each test."""
        self._runs += 1
        log = Path(self.path, f"begun{self._runs}")
        self._monkeypatch.setenv("BEGUN", str(log))
        self._run(*OURS_ALONE, *arguments, timeout=110)
        return [(worker, name) for worker, name in map(str.split, log.read_text("ascii").splitlines())]

    def write(self, name: str, text: str) -> None:
        Path(self.path, name).write_text(text, "utf-8")

    def first(self, *arguments: str) -> set[str]:
        """Return what each worker began with."""
        return set(dict(reversed(self.by_worker(*arguments))).values())

    def names(self, *arguments: str) -> list[str]:
        return [name for _, name in self.by_worker(*arguments)]


@pytest.fixture
def begun(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Begun:
    for name in ("PYTEST_ADDOPTS", "PYTEST_TIMEOUT", "PYTEST_XDIST_WORKER", "GITHUB_ACTIONS", "PROMETHEUS_GATEWAY"):
        monkeypatch.delenv(name, raising=False)
    pytester.makepyfile(test_suite=SUITE)
    return Begun(pytester, monkeypatch)


def test_failed_and_new_tests_come_first_and_a_gate_before_them(begun: Begun) -> None:
    # Without workers: what is new is known to pytest only where the process of the run has collected itself.
    assert begun.names().index("test_fails") == 12

    assert "test_fails" in begun.first("-n2", "--ff")
    assert begun.names("-n2", "--lf") == ["test_fails"]

    begun.write("test_suite.py", SUITE + "\ndef test_last(): pass\n")
    assert "test_last" in begun.first("-n2", "--nf")

    begun.write("test_z.py", SMOKE)
    begun.write("sergas.toml", GATE)
    for options in (("--ff",), ("-n2", "--ff"), ("-n2", "--nf")):
        names = begun.names(*options)
        assert names[0] == "test_smoke", options
        assert len(names) == 23


def test_stepwise_goes_on_where_it_stopped(begun: Begun) -> None:
    first = begun.names("-n2", "--sw")
    begun.write("mended", "")

    second = begun.names("-n2", "--sw")

    assert "test_fails" in first
    # What is before the failure was skipped, and nothing of what is behind it.
    assert sorted(second) == sorted(["test_fails", *(f"test_two[{n}]" for n in range(8))])


# As pytest-randomly comes, before -m and the like, and as pytest-order, after everything else.
OTHERS = """
import random
import pytest

@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    random.Random(7).shuffle(items)

class Ordering:
    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items):
        items.sort(key=lambda item: item.name == "test_fails", reverse=True)

def pytest_configure(config):
    config.pluginmanager.register(Ordering())
"""


def test_every_worker_follows_the_order_of_other_plugins(begun: Begun) -> None:
    begun.write("test_z.py", SMOKE)
    begun.write("sergas.toml", GATE)
    begun.write("conftest.py", OTHERS)
    order = begun.names("-p", "no:sergas")
    assert order[0] == "test_fails"
    order.sort(key=lambda name: name != "test_smoke")

    for options in (("-n2",), ("-n2", "-p", "no:cacheprovider")):  # with the durations of the first, and without any
        ran = begun.by_worker(*options)
        assert sorted(name for _, name in ran) == sorted(order)
        assert ran[0][1] == "test_smoke"
        for worker in ("gw0", "gw1"):
            places = [order.index(name) for who, name in ran if who == worker]
            assert places == sorted(places), worker


def test_shards_keep_the_order_and_the_neighbours_of_what_is_theirs(begun: Begun) -> None:
    names = [*(f"test_one[{n}]" for n in range(12)), "test_fails", *(f"test_two[{n}]" for n in range(8))]

    shards = [begun.names(f"--sergas-shard={number}/2") for number in (1, 2)]

    assert sorted(shards[0] + shards[1]) == sorted(names)
    for shard in shards:
        places = [names.index(name) for name in shard]
        assert places == sorted(places)
        assert places[:5] == [*range(places[0], places[0] + 5)]
    planned = sergas(begun.path, "plan", "-n", "1", "--shards", "2", "--json").out
    assert json.loads(planned)["shards"] == [[f"test_suite.py::{name}" for name in shard] for shard in shards]
