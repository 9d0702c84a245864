"""A process that a test has forked ends with its test: it never goes on as the worker that it is a copy of.

Where the child raises, or returns from the test, instead of calling ``os._exit()``, it has all that the worker had,
the connection to the controller included. It would report its test and complete it, and so would the worker, and
then it would run what the worker had been sent.
"""

from __future__ import annotations

import os

import pytest

from pytest_sergas.own import Own

_NAME = "sergas-stray"


def end_strays(manager: pytest.PytestPluginManager, worker: str) -> None:
    """Let every process that is forked from now on end where it would report a test.

    Only what is forked pays for it: the hook is registered there.
    """
    if not hasattr(os, "register_at_fork"):
        return

    def in_child() -> None:
        if not manager.hasplugin(_NAME):  # a child of a child has it already
            manager.register(_Stray(worker), _NAME)

    os.register_at_fork(after_in_child=in_child)


class _Stray:
    """The hook of a forked child. A child that runs a test of its own, and reports nothing, does not meet it."""

    def __init__(self, worker: str) -> None:
        self._worker = worker

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        trace = f"\n{report.longreprtext}" if report.longreprtext else ""
        text = (
            f"\nsergas: a process that {report.nodeid} forked left its test and was ended, "
            f"because it would have gone on as {self._worker}; end it with os._exit(){trace}\n"
        )
        Own.os_write(2, text.encode(errors="backslashreplace"))
        Own.os_exit(1)
