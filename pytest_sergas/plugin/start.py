"""What starts when: a run with neither types nor anything of ours asked for is left as it is.

    when                                                                        what
    ------------------------------------------------------------------------------------------------------------------
    always                                                                      options, markers, a fixture
    a configuration, an option or a variable of ours: before anything is found  the parts, and faults end the run
    a test with one of our types: when all is collected                         the parts
    neither                                                                     nothing more

With workers of pytest-xdist it is they who meet the tests; what the controller does until it knows is in `waiting`.

What is registered for every run has plain hooks: an exception passes through a wrapper, which would stand in its
traceback.
"""

from __future__ import annotations

import os
import re
import sys
import warnings
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_sergas.own import Own
from pytest_sergas.plugin import PAST_REWRITING, markers, options
from pytest_sergas.plugin.fixture import BenchmarkFixture, is_free
from pytest_sergas.plugin.role import is_controller, is_starting_worker, is_worker

if TYPE_CHECKING:
    from pytest_sergas.config import Loaded
    from pytest_sergas.plugin.session import Collection

LOADED: pytest.StashKey[Loaded] = pytest.StashKey()

# A header as nearly everybody writes it; any other way is left to the parser.
_HEADER = re.compile(rb"^[ \t]*\[[ \t]*tool[ \t]*\.[ \t]*sergas[ \t]*[].]", re.MULTILINE)

# A call of a hook that a part has missed: name and arguments.
Missed = tuple[str, dict[str, Any]]


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    PAST_REWRITING.put_first()
    options.add(parser)
    pluginmanager.register(_Explained(), "sergas-markers")
    if is_starting_worker():
        pluginmanager.register(_Appending(), "sergas-appending")


class _Explained:
    """Registers the markers behind everybody else's, so that the text of a suite that has the same stays alone."""

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        markers.register(config)


class _Appending:
    """A worker that replaces a dead one begins when others may have ended, and pytest-cov would erase their data."""

    @pytest.hookimpl(hookwrapper=True)
    def pytest_load_initial_conftests(self, early_config: pytest.Config, args: list[str]) -> Generator[None]:
        # Not early_config.option, which has nothing of the command line yet.
        if any(word.startswith("--cov") for word in args):
            from pytest_sergas.plugin.foreign import command_line

            known = command_line(early_config, "coverage may be incomplete where a worker is replaced")
            if known is not None and hasattr(known, "cov_append"):
                known.cov_append = True
        yield


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    # pytest-asyncio, which comes with us, warns whenever this is unset: with -W error that ends every run.
    warnings.filterwarnings("ignore", message='The configuration option "asyncio_default_fixture_loop_scope" is unset')
    if config.getoption("--no-sergas"):
        markers.name(config, None)
        return
    starter = Starter(config)
    if asked(config):
        loaded = load(config)
        markers.name(config, loaded.settings.types)
        starter.start()
        return
    markers.name(config, None)
    if is_controller(config):
        from pytest_sergas.plugin.waiting import Waiting

        config.pluginmanager.register(Waiting(config, starter), "sergas-waiting")
        return
    if is_free(config):
        config.pluginmanager.register(BenchmarkFixture(), "sergas-benchmark")
    looking = _Looking(config, starter)
    config.pluginmanager.register(looking, "sergas-looking")
    config.pluginmanager.register(_LookingAgain(looking), "sergas-looking-again")


def pytest_unconfigure() -> None:
    PAST_REWRITING.remove()
    # Another session in this process may go on, whose timer the tests of this one have used.
    if timers := sys.modules.get("pytest_sergas.plugin.timers"):
        timers.resume()


@pytest.hookimpl(optionalhook=True, hookwrapper=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> Generator[None, Any, None]:
    """Let ``-n auto`` start no more workers than ``max_workers`` and the container's CPU quota allow."""
    outcome = yield
    if config.getoption("--no-sergas") or not asked(config) or outcome.exception is not None:
        return
    limits = [outcome.get_result()]
    # The variable is an explicit choice by the user.
    if not os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS"):
        from pytest_sergas.plugin.quota import quota_workers

        limits.append(quota_workers() or limits[0])
    limits.append(load(config).settings.max_workers or limits[0])
    outcome.force_result(min(limits))


class Starter:
    """Loads and registers the parts."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._started_s = Own.wall_s()

    def start(self, missed: Sequence[Missed] = ()) -> None:
        """Register the parts, and call them as they would have been called before.

        Raises:
            pytest.UsageError: the configuration cannot be used.
        """
        from pytest_sergas.plugin import session

        manager = self._config.pluginmanager
        others = manager.get_plugins()
        session.register(self._config, load(self._config), self._started_s)
        for name, arguments in missed:
            manager.subset_hook_caller(name, others)(**arguments)


class _Looking:
    """Looks at what is collected, starts the parts with the first type, and is gone before a test runs."""

    def __init__(self, config: pytest.Config, starter: Starter) -> None:
        self._config = config
        self._starter = starter
        self._missed: list[Missed] = []
        self._collection: Collection | None = None

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.outcome != "passed":
            self._missed.append(("pytest_collectreport", {"report": report}))

    # Before -m and others leave some of the tests out: the types of a suite do not depend on what is selected.
    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        self._look(items)

    def look_again(self, items: list[pytest.Item]) -> None:
        """Look at what plugins and conftest.py files have marked meanwhile, and be done."""
        kept = self._look(items)
        manager = self._config.pluginmanager
        manager.unregister(self)
        manager.unregister(name="sergas-looking-again")
        if self._collection is not None:
            self._collection.apply(self._config, items)
        elif kept:
            self._keep(kept)

    def _look(self, items: list[pytest.Item]) -> Sequence[str]:
        """Start the parts if there is a type; return the markers that are the suite's own."""
        if self._collection is not None:
            return ()
        typed, kept = markers.met(self._config, items)
        if typed:
            self._starter.start(self._missed)
            self._collection = self._config.pluginmanager.get_plugin("sergas-collection")
            if self._collection is not None:
                self._collection.find(items)
        return kept

    def _keep(self, kept: Sequence[str]) -> None:
        if not is_worker(self._config):
            self._config.pluginmanager.register(markers.Kept(kept), "sergas-kept")
            return
        from pytest_sergas.plugin import exchange

        shared = exchange.directory(self._config.workerinput)  # type: ignore[attr-defined]  # set by pytest-xdist
        if shared is not None:
            exchange.leave_kept(shared, kept)


class _LookingAgain:
    """The other end of `_Looking`: one object has one hook of a name."""

    def __init__(self, looking: _Looking) -> None:
        self._looking = looking

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        self._looking.look_again(items)


def load(config: pytest.Config) -> Loaded:
    """Return the configuration; it is read once, by the first that needs it.

    Raises:
        pytest.UsageError: it cannot be used.
    """
    if LOADED not in config.stash:
        from pytest_sergas.config import load
        from pytest_sergas.errors import ConfigurationError

        given, program = options.given(config), None
        if directory := config.getoption("sergas_program", None):
            from pytest_sergas.config.program import Program

            program = Program.read(directory)
        try:
            config.stash[LOADED] = load(config.rootpath, environ=os.environ, options=given, program=program)
        except ConfigurationError as error:
            raise pytest.UsageError(str(error)) from error
    return config.stash[LOADED]


def asked(config: pytest.Config) -> bool:
    """Whether anything configures us, so that faults must be found before anything is collected."""
    return bool(
        markers.is_configured(config, _is_configured)
        or options.given(config)
        or os.environ.get("PROMETHEUS_GATEWAY")
        or config.getoption("sergas_shard")
        or config.getoption("sergas_program", None)
        or config.getoption("sergas_detect_flaky")
        or (config.rootpath / "sergas-quarantine.toml").exists()
    )


def _is_configured(root: Path) -> bool:
    """Whether there is a configuration, be it empty, where `find_file` looks: here and above, up to the repository."""
    for directory in (root, *root.parents):
        if _configures(directory):
            return True
        if os.path.lexists(directory / ".git"):
            break
    return False


def _configures(root: Path) -> bool:
    if os.path.lexists(root / "sergas.toml"):
        return True
    try:
        text = (root / "pyproject.toml").read_bytes()
    except OSError:
        return False
    if b"sergas" not in text:
        return False
    return _HEADER.search(text) is not None or _has_table(text)


def _has_table(text: bytes) -> bool:
    import tomllib

    try:
        tool = tomllib.loads(text.decode("utf-8-sig")).get("tool")
    except ValueError:
        return True  # its reader says what is wrong with it
    return isinstance(tool, dict) and "sergas" in tool
