"""The pytest half: hooks, thin round `pytest_sergas.core`.

In the order in which a test passes through it:

    options      what the command line says
    types        item → type → policy
    timeouts     every attempt and phase guarded, by pytest-timeout
    retries      failed tests repeated, by pytest-rerunfailures
    gate         gated types first
    recorder     reports → records
    publishing   the record → every publisher, within one deadline
    report       what publishers say → terminal

`session` holds them together; `exchange` carries what workers know to the controller of pytest-xdist.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Generator, Mapping

import pytest

from pytest_sergas.config import Loaded, load
from pytest_sergas.core.policy import MARKER_KEYWORDS
from pytest_sergas.core.records import TestType
from pytest_sergas.errors import ConfigurationError
from pytest_sergas.plugin import options
from pytest_sergas.plugin.report import Report
from pytest_sergas.plugin.session import Collection, Run

MEANING: Mapping[TestType, str] = {
    TestType.UNIT: "one piece of code by itself",
    TestType.INTEGRATION: "several pieces, or a service, together",
    TestType.PERFORMANCE: "how fast or how large something is",
    TestType.SECURITY: "what an attacker would try",
    TestType.LOAD: "many requests at once",
    TestType.REGRESSION: "a defect that must not come back",
    TestType.SMOKE: "whether it runs at all",
    TestType.E2E: "the whole system as its user sees it",
    TestType.COMPATIBILITY: "other versions and other platforms",
    TestType.STRESS: "what happens beyond the limits",
}
_LOADED = pytest.StashKey[Loaded]()


def pytest_addoption(parser: pytest.Parser) -> None:
    options.add(parser)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    # pytest-asyncio, which comes with us, warns whenever this is unset: with -W error that ends every run.
    warnings.filterwarnings("ignore", message='The configuration option "asyncio_default_fixture_loop_scope" is unset')
    if config.getoption("--no-sergas"):
        _register_markers(config, {test_type: test_type.value for test_type in TestType})
        return
    try:
        loaded = load(config.rootpath, environ=os.environ, options=options.given(config))
    except ConfigurationError as error:
        raise pytest.UsageError(str(error)) from error
    config.stash[_LOADED] = loaded
    types = loaded.settings.types
    _register_markers(config, {kind: table.marker for kind, table in types.items() if table.enabled})
    _register_parts(config, loaded)


def _register_parts(config: pytest.Config, loaded: Loaded) -> None:
    register = config.pluginmanager.register
    collection = None
    if not config.getoption("numprocesses", None) and not config.getoption("tx", None):
        collection = Collection(config, loaded)
        register(collection, "sergas-collection")
    if not hasattr(config, "workerinput"):
        run = Run(config, loaded, collection)
        register(run, "sergas-run")
        register(Report(run), "sergas-report")


def _register_markers(config: pytest.Config, names: Mapping[TestType, str]) -> None:
    keywords = ", ".join(f"{keyword}=None" for keyword in MARKER_KEYWORDS)
    for test_type, name in names.items():
        config.addinivalue_line(
            "markers",
            f"{name}({keywords}): a test of the type {test_type.value}: {MEANING[test_type]}. Its policy comes from "
            f"[tool.sergas.types.{test_type.value}]; the keywords change it for this test.",
        )


@pytest.hookimpl(optionalhook=True, wrapper=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> Generator[None, int, int]:
    """Let ``-n auto`` start no more workers than ``max_workers``."""
    workers = yield
    loaded = config.stash.get(_LOADED, None)
    limit = loaded.settings.max_workers if loaded is not None else None
    return workers if limit is None else min(workers, limit)
