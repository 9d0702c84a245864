"""What the engines (pytest-timeout, pytest-rerunfailures) were told by the user, as layers for the policy.

The engines' own rules are read from them, never repeated here: which settings apply to an item is asked
of pytest-timeout, how often pytest-rerunfailures would repeat one is asked of it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import pytest

from pytest_sergas.core.policy import Layer, Source
from pytest_sergas.plugin.foreign import ini, option

ENGINE_MARKERS = frozenset({"timeout", "flaky"})

# Two more plugins claim the marker "flaky" and repeat tests in their own way.
OTHER_RETRY_PLUGINS = ("flaky", "pytest-retry", "pytest_retry")


class Engines:
    """Which engines take part, and what command line, environment and ini values say to them."""

    def __init__(self, config: pytest.Config) -> None:
        has = config.pluginmanager.hasplugin
        self.timeouts = has("timeout")
        self.rival = next((name for name in OTHER_RETRY_PLUGINS if has(name)), "")
        # With --pdb a flaky marker is a usage error in the middle of the run.
        self.retries = has("rerunfailures") and not self.rival and not config.getoption("usepdb", default=False)
        self.command_line: Layer = (Source.COMMAND_LINE, _command_line(config, self))
        self.ini: Layer = (Source.ENGINE_INI, _ini(config, self))


def marker_layer(mark: pytest.Mark) -> Layer:
    """Return what an engine's own marker decides; it decides about all of its engine's settings."""
    if mark.name == "timeout":
        return Source.ENGINE_MARKER, {"timeout": mark.args[0] if mark.args else mark.kwargs.get("timeout")}
    names = ("reruns", "reruns_delay", "only_rerun")
    positional = dict(zip(names, mark.args, strict=False))
    values = {"reruns": 1, "reruns_delay": 0, "only_rerun": (), **positional, **mark.kwargs}
    return Source.ENGINE_MARKER, {
        "retries": values["reruns"],
        "retry_delay": values["reruns_delay"],
        "retry_on": values["only_rerun"],
    }


def _command_line(config: pytest.Config, engines: Engines) -> Mapping[str, Any]:
    given: dict[str, Any] = {}
    if engines.timeouts:
        given["timeout"] = option(config, "timeout")
        if given["timeout"] is None:
            given["timeout"] = _number(os.environ.get("PYTEST_TIMEOUT"))
    if config.pluginmanager.hasplugin("rerunfailures"):
        forced = option(config, "force_reruns")
        given["retries"] = option(config, "reruns") if forced is None else forced
        given["retry_delay"] = option(config, "reruns_delay")
        given["retry_on"] = option(config, "only_rerun")
    return {name: value for name, value in given.items() if value is not None}


def _ini(config: pytest.Config, engines: Engines) -> Mapping[str, Any]:
    given: dict[str, Any] = {}
    if engines.timeouts:
        given["timeout"] = _number(ini(config, "timeout"))
    if config.pluginmanager.hasplugin("rerunfailures"):
        given["retries"] = _number(ini(config, "reruns"))
        given["retry_delay"] = _number(ini(config, "reruns_delay"))
        given["retry_on"] = ini(config, "only_rerun") or None
    return {name: value for name, value in given.items() if value is not None}


def _number(value: Any) -> float | None:
    """Return an engine's textual setting as a number; what is none is for that engine to complain about."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
