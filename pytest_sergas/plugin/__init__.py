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

`start` says what starts when: what a run does not need is not loaded.
"""

from __future__ import annotations

from pytest_sergas.plugin.start import LOADED as LOADED
from pytest_sergas.plugin.start import pytest_addoption as pytest_addoption
from pytest_sergas.plugin.start import pytest_configure as pytest_configure
from pytest_sergas.plugin.start import pytest_unconfigure as pytest_unconfigure
from pytest_sergas.plugin.start import pytest_xdist_auto_num_workers as pytest_xdist_auto_num_workers
