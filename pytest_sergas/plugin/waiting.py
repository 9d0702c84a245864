"""The controller of pytest-xdist while it does not know yet whether the tests have types.

Workers meet the tests. One that finds a type leaves in the directory that it shares with the controller what it
knows, before it sends its node ids. So when the first of them have arrived, the controller knows: either the parts
start, and are called as they would have been until then, or nothing more happens, and pytest-xdist goes on with its
own scheduler.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from pytest_sergas.plugin import markers
from pytest_sergas.plugin.exchange import INVITED, Exchange
from pytest_sergas.plugin.start import Missed, Starter


class Waiting:
    """Keeps what the parts would have been called with, until it is known whether there are any."""

    def __init__(self, config: pytest.Config, starter: Starter) -> None:
        self._config = config
        self._starter = starter
        self._exchange = Exchange()
        self._missed: list[Missed] = []
        config.add_cleanup(self._exchange.close)

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        self._missed.append(("pytest_runtestloop", {"session": session}))

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_setupnodes(self, config: pytest.Config, specs: Sequence[Any]) -> None:
        self._missed.append(("pytest_xdist_setupnodes", {"config": config, "specs": specs}))

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        self._exchange.invite(node)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._missed.append(("pytest_collectreport", {"report": report}))

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        self._missed.append(("pytest_testnodedown", {"node": node, "error": error}))

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: Any, ids: Sequence[str]) -> None:
        manager = self._config.pluginmanager
        if self._exchange.is_left():
            manager.unregister(self)
            finished: Missed = ("pytest_xdist_node_collection_finished", {"node": node, "ids": ids})
            self._config.stash[INVITED] = self._exchange
            self._starter.start([*self._missed, finished])
            from pytest_sergas.plugin.scheduling import take_over

            take_over(self._config)
            return
        kept = self._exchange.kept()
        if kept:
            manager.register(markers.Kept(kept), "sergas-kept")
        manager.unregister(self)
