"""Every collector that is installed, whoever wrote it, keeps to the contract of `Collector` and `Source`."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import pytest

from pytest_sergas.collectors import GROUP, Context, Measured, Source, find_all
from pytest_sergas.config.collect import CollectSettings, Target
from pytest_sergas.core.exposition import parse, render
from pytest_sergas.core.monitoring import check, families_of
from tests.collectors.conftest import plenty
from tests.servers.gateways import speaking

pytestmark = pytest.mark.integration

ENTRIES = sorted(entry_points(group=GROUP), key=lambda entry: entry.name)
PAGE = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nload 1\n"


def collect_something() -> Sequence[Measured]:
    """Stand for a function that the configuration names."""
    return []


@pytest.fixture
def everything(tmp_path: Path) -> Iterable[Context]:
    """Return a context in which every collector has something to do."""
    with speaking(PAGE) as url:
        settings = CollectSettings(
            custom=(f"{__name__}:collect_something",),
            targets=(Target(f"{url}/metrics", "node", "one", {}), Target(f"{url}/metrics", "node", "two", {})),
        )
        yield Context(settings, tmp_path, {})


def sources(entry: EntryPoint, given: Context) -> Sequence[Source]:
    return list(entry.load()(given))


def test_built_in_collectors_come_through_the_entry_points() -> None:
    assert {"container", "custom", "http_requests", "process", "scrape", "system"} <= {entry.name for entry in ENTRIES}


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_sources_have_names_of_their_own_and_a_time(entry: EntryPoint, everything: Context) -> None:
    made = sources(entry, everything)

    assert len({source.name for source in made}) == len(made)
    for source in made:
        assert source.name
        assert source.name == " ".join(source.name.split())
        assert source.interval_s >= 0
        assert source.timeout_s > 0


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_what_is_collected_can_be_exposed_and_read_again(entry: EntryPoint, everything: Context) -> None:
    for source in sources(entry, everything):
        families = families_of(source.collector.collect(plenty))
        check(families)
        filled = [family for family in families if family.samples]
        assert [family.name for family in parse(render(families))] == [family.name for family in filled]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_collecting_again_and_on_another_thread_gives_the_same_names(entry: EntryPoint, everything: Context) -> None:
    for source in sources(entry, everything):
        first = {family.name for family in families_of(source.collector.collect(plenty))}
        second: set[str] = set()

        def again(source: Source = source, second: set[str] = second) -> None:
            second |= {family.name for family in families_of(source.collector.collect(plenty))}

        thread = threading.Thread(target=again)
        thread.start()
        thread.join()
        assert second == first


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_nothing_configured_makes_no_factory_fail(entry: EntryPoint, tmp_path: Path) -> None:
    assert len(sources(entry, Context(CollectSettings(), tmp_path, {}))) < 3


def test_names_of_all_sources_are_different(everything: Context) -> None:
    names = [source.name for source in find_all(everything)]

    assert len(set(names)) == len(names)


def test_disabled_collectors_have_no_sources(tmp_path: Path) -> None:
    settings = CollectSettings(disabled=("system", "process"))

    names = {source.name for source in find_all(Context(settings, tmp_path, {}))}

    assert "http_requests" in names
    assert not names & {"system", "disk", "process"}


def test_interval_and_timeout_are_those_of_the_configuration(tmp_path: Path) -> None:
    settings = CollectSettings(interval=7.0, timeout=3.0)

    made = {source.name: source for source in find_all(Context(settings, tmp_path, {}))}

    assert (made["system"].interval_s, made["system"].timeout_s) == (7.0, 3.0)


def test_sources_that_are_configured_the_same_are_the_same(everything: Context) -> None:
    assert find_all(everything) == find_all(everything)
