"""Collectors of a stranger's package: they come through the entry points, and a broken one says that it is."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from pytest_sergas.collectors import GROUP, Context, find_all
from pytest_sergas.config.collect import CollectSettings
from pytest_sergas.errors import ConfigurationError
from tests.servers.process import get
from tests.servers.sidecar import sidecar

pytestmark = pytest.mark.integration

MODULE = """\
from pytest_sergas import MonitoringMetric, MonitorType


class Collector:
    def collect(self, remaining_s):
        return [MonitoringMetric("strange", 42, None, MonitorType.CUSTOM)]


def create(context):
    return [context.source("stranger", Collector())]


def broken(context):
    raise RuntimeError("no licence")
"""
CONFIG = '[collect]\ndisabled = ["stranger"]\n'


def install(directory: Path, **factories: str) -> None:
    """Install a package with these entry points, as pip would have left it in ``directory``."""
    (directory / "strange_package.py").write_text(MODULE, encoding="utf-8")
    info = directory / "strange_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: strange-package\nVersion: 1.0\n", encoding="utf-8")
    entries = "".join(f"{name} = strange_package:{factory}\n" for name, factory in factories.items())
    (info / "entry_points.txt").write_text(f"[{GROUP}]\n{entries}", encoding="utf-8")


def fault(name: str, factory: str, reason: str) -> str:
    return (
        f"[collect]: the collector '{name}' (strange_package:{factory}) cannot be made: {reason}; "
        f"repair it, or switch it off with disabled = ['{name}']"
    )


BROKEN = fault("stranger", "broken", "RuntimeError: no licence")
REFUSED = f"sergas: 1 fault in the configuration\\n  {BROKEN}"


def test_collector_of_a_stranger_is_found_like_a_built_in_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, stranger="create")
    monkeypatch.syspath_prepend(str(tmp_path))

    names = [source.name for source in find_all(Context(CollectSettings(), tmp_path, {}))]

    assert {"stranger", "system"} <= set(names)


def test_every_collector_that_cannot_be_made_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, stranger="broken", unloadable="missing")
    monkeypatch.syspath_prepend(str(tmp_path))

    with pytest.raises(ConfigurationError) as raised:
        find_all(Context(CollectSettings(), tmp_path, {}))

    reason = "AttributeError: module 'strange_package' has no attribute 'missing'"
    assert raised.value.faults == (BROKEN, fault("unloadable", "missing", reason))


def test_start_with_a_broken_collector_ends_with_the_reason(tmp_path: Path) -> None:
    install(tmp_path, stranger="broken")

    with pytest.raises(AssertionError) as raised, sidecar(tmp_path):
        pass

    assert str(raised.value) == f"sergas serve ended:\nsergas: 1 fault in the configuration\n  {BROKEN}\n"


def test_configuration_that_switches_a_broken_collector_on_is_refused_loudly(tmp_path: Path) -> None:
    install(tmp_path, stranger="broken")
    with sidecar(tmp_path, config=CONFIG) as server:
        (tmp_path / "sergas.toml").write_text("[collect]\n", encoding="utf-8")
        server.send(signal.SIGHUP)
        server.waits_for(f"the configuration in force stays, because the new one cannot be used: {REFUSED}")

        assert "sergas_config_last_reload_successful 0" in get(f"{server.url}/metrics").splitlines()
