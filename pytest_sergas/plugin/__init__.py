"""The pytest half: hooks, thin round `pytest_sergas.core`.

In the order in which a test passes through it:

    options      what the command line says
    markers      what pytest --markers explains
    types        item → type → policy
    timeouts     every attempt and phase guarded, by pytest-timeout
    retries      failed tests repeated, by pytest-rerunfailures
    measuring    what each call costs (procfs, sampling, pace)
    budgets      verdicts on it, and more attempts where they need them
    benchmark    a fixture that repeats a call, where no other plugin has one
    gate         gated types first
    quarantine   known failures masked when they are final
    dependencies checks that tests need, before these
    recorder     reports → records
    publishing   the record → every publisher, within one deadline
    report       what publishers say → terminal
    status       what is done and left, while tests run, on a terminal

`session` holds them together; `exchange` carries what workers know to the controller of pytest-xdist.

This module is all that a run without tests loads. The rest comes when a configuration or an option asks
for it, or when the first test file is met: `_Starter`.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_sergas.plugin import markers, options
from pytest_sergas.plugin.role import is_controller, is_starting_worker

if TYPE_CHECKING:
    from pytest_sergas.config import Loaded

LOADED: pytest.StashKey[Loaded] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    options.add(parser)


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None]:
    # A worker that replaces a dead one begins when others may have ended, and pytest-cov would erase their data.
    if is_starting_worker():
        from pytest_sergas.plugin.foreign import command_line

        known = command_line(early_config, "coverage may be incomplete where a worker is replaced")
        if known is not None and hasattr(known, "cov_append"):
            known.cov_append = True
    return (yield)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    # pytest-asyncio, which comes with us, warns whenever this is unset: with -W error that ends every run.
    warnings.filterwarnings("ignore", message='The configuration option "asyncio_default_fixture_loop_scope" is unset')
    names = {name: name for name in markers.MEANING}
    if not config.getoption("--no-sergas"):
        starter = _Starter(config)
        if _asked(config):
            names = starter.start()
        else:
            config.pluginmanager.register(starter, "sergas-starter")
    markers.register(config, names)


@pytest.hookimpl(optionalhook=True, wrapper=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> Generator[None, int, int]:
    """Let ``-n auto`` start no more workers than ``max_workers`` and the container's CPU quota allow."""
    limits = [(yield)]
    if config.getoption("--no-sergas"):
        return limits[0]
    # Whoever sets the variable has counted himself.
    if not os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS"):
        from pytest_sergas.plugin.quota import quota_workers

        limits.append(quota_workers() or limits[0])
    if _asked(config):
        limits.append(_load(config).settings.max_workers or limits[0])
    return min(limits)


class _Starter:
    """Loads and registers the parts, at once or with the first test file."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._started_s = time.time()

    @pytest.hookimpl(tryfirst=True)
    def pytest_collect_file(self) -> None:
        self._config.pluginmanager.unregister(self)
        self.start()

    def start(self) -> dict[str, str]:
        """Register the parts; return type → marker.

        Raises:
            pytest.UsageError: the configuration cannot be used.
        """
        from pytest_sergas.plugin import session

        loaded = _load(self._config)
        session.register(self._config, loaded, self._started_s)
        return {kind.value: table.marker for kind, table in loaded.settings.types.items() if table.enabled}


def _load(config: pytest.Config) -> Loaded:
    """Return the configuration; it is read once, by whoever needs it first."""
    if LOADED not in config.stash:
        from pytest_sergas.config import load
        from pytest_sergas.errors import ConfigurationError

        try:
            config.stash[LOADED] = load(config.rootpath, environ=os.environ, options=options.given(config))
        except ConfigurationError as error:
            raise pytest.UsageError(str(error)) from error
    return config.stash[LOADED]


def _asked(config: pytest.Config) -> bool:
    """Whether somebody configures us, so that faults must be found before anything is collected."""
    if options.given(config) or os.environ.get("PROMETHEUS_GATEWAY") or is_controller(config):
        return True
    if config.getoption("sergas_shard"):
        return True
    if (config.rootpath / "sergas.toml").exists() or (config.rootpath / "sergas-quarantine.toml").exists():
        return True
    try:
        return b"sergas" in Path(config.rootpath, "pyproject.toml").read_bytes()
    except OSError:
        return False
