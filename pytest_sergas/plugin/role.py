"""Which of the three places a process is.

the only process    collects, runs, records and publishes
a worker            of pytest-xdist: collects and runs
the controller      of pytest-xdist: records and publishes
"""

from __future__ import annotations

import os
import sys

import pytest


def is_worker(config: pytest.Config) -> bool:
    """Whether this process is a worker of pytest-xdist."""
    return hasattr(config, "workerinput")


def is_starting_worker() -> bool:
    """Whether this process is going to be a worker of pytest-xdist, before pytest knows it.

    What a test of a worker starts inherits the variable, but is not started as execnet starts Python.
    """
    return "PYTEST_XDIST_WORKER" in os.environ and sys.argv[:1] == ["-c"]


def is_controller(config: pytest.Config) -> bool:
    """Whether this process leaves collecting and running to workers.

    Workers see the options of the command line too, so ``--tx`` alone does not tell; and with
    ``--collect-only`` nothing is left to workers.
    """
    distributes = config.getoption("dist", "no") != "no" and bool(config.getoption("tx", None))
    return distributes and not is_worker(config) and not config.getoption("collectonly")
