"""``--sergas-detect-flaky`` in real runs: what is tried, what is found, and what fails the run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.plugin.conftest import Ran, Run

pytestmark = pytest.mark.integration

NOTE = "detect-flaky: test_new.py::"
# How often each test has run, over all processes; that decides, so that nothing here is left to chance.
CONFTEST = """
import pathlib
import pytest
from pytest_sergas.core import detection

# Each trial is a process; three of each kind are the fewest that tell flaky from order-dependent.
detection.TRIALS = ((float("inf"), 3),)

@pytest.fixture
def times(request):
    path = pathlib.Path(request.node.name + ".times")
    path.write_text((path.read_text() if path.exists() else "") + ".")
    return len(path.read_text())
"""
STEADY = "import pytest\n@pytest.mark.unit\ndef test_old(): pass\n"
NEW = """
import pytest

STATE = []

@pytest.mark.unit
def test_steady(times): pass

@pytest.mark.unit
def test_flaky(times): assert times % 2

@pytest.mark.unit
def test_needs_company(times, request):
    # Passes where another test of this file was collected, too.
    assert times == 1 or len(request.session.items) > 1

@pytest.mark.unit
def test_broken(times): assert times == 0
"""


@pytest.fixture
def suite(pytester: pytest.Pytester) -> pytest.Pytester:
    """A suite with an earlier run, of which test_old is known."""
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(test_old=STEADY)
    known = {"format": "sergas-durations", "version": 1, "tests": {"test_old.py::test_old": [0.1, 0.0, 0]}}
    Path(pytester.path, "durations.json").write_text(json.dumps(known))
    pytester.makefile(".toml", sergas='durations = "durations.json"\n')
    return pytester


def notes(ran: Ran) -> list[str]:
    assert ran.document is not None
    found: list[str] = ran.document["results"]["extra"].get("notes", [])
    return [note for note in found if note.startswith("detect-flaky")]


def times(suite: pytest.Pytester, name: str) -> int:
    path = suite.path / f"{name}.times"
    return len(path.read_text()) if path.exists() else 0


def test_new_tests_are_tried_in_random_order_and_alone(suite: pytest.Pytester, run: Run) -> None:
    suite.makepyfile(test_new=NEW)

    ran = run("--sergas-detect-flaky")

    broken, flaky, company = sorted(notes(ran))
    assert broken == f"{NOTE}test_broken: broken: failed 3 of 3 times in random order, 3 of 3 times alone"
    assert flaky == f"{NOTE}test_flaky: flaky: failed 2 of 3 times in random order, 1 of 3 times alone"
    assert company == (
        f"{NOTE}test_needs_company: depends on the order: failed 0 of 3 times in random order, 3 of 3 times alone"
    )
    # Once in the run, three times together, once alone.
    assert times(suite, "test_steady") == 5
    assert ran.outcomes["test_flaky"] == "passed"


def test_run_with_workers_is_followed_by_the_same_trials(suite: pytest.Pytester, run: Run) -> None:
    suite.makepyfile(test_new="import pytest\n@pytest.mark.unit\ndef test_steady(times): pass\n")

    ran = run("--sergas-detect-flaky", "-n", "2")

    assert (notes(ran), times(suite, "test_steady")) == (["detect-flaky: 1 test was tried, and steady"], 5)
    assert "\ndetect-flaky: trial 1 of 4: 0 of 1 test\n" in ran.text


def test_what_is_found_counts_for_fail_on_flaky(suite: pytest.Pytester, run: Run) -> None:
    suite.makefile(".toml", sergas='durations = "durations.json"\n[types.unit]\nfail_on_flaky = true\n')
    suite.makepyfile(test_new="import pytest\n@pytest.mark.unit\ndef test_flaky(times): assert times % 2\n")

    ran = run("--sergas-detect-flaky")

    assert ran.result.ret == pytest.ExitCode.TESTS_FAILED
    assert ran.document is not None
    (refusal,) = ran.document["results"]["extra"]["refused"]
    assert refusal["text"].startswith("unit: 1 test is flaky, and max_flaky = 0: test_new.py::test_flaky; ")


def test_named_tests_are_tried_though_they_are_known(suite: pytest.Pytester, run: Run) -> None:
    suite.makepyfile(test_old="import pytest\n@pytest.mark.unit\ndef test_old(times): pass\n")

    run("--sergas-detect-flaky", "test_old.py::test_old")

    assert times(suite, "test_old") == 5


def test_without_earlier_runs_nothing_is_new(suite: pytest.Pytester, run: Run) -> None:
    (suite.path / "durations.json").unlink()

    assert notes(run("--sergas-detect-flaky")) == [
        "detect-flaky: no earlier run is known, so nothing is new; name tests to try them all the same"
    ]


def test_repeated_failure_of_a_trial_is_one(suite: pytest.Pytester, run: Run) -> None:
    suite.makepyfile(
        test_new="import pytest\n@pytest.mark.unit(retries=1)\ndef test_flaky(times): assert times == 1 or times % 2\n"
    )

    (note,) = notes(run("--sergas-detect-flaky"))

    assert note == f"{NOTE}test_flaky: broken: failed 3 of 3 times in random order, 3 of 3 times alone"


def test_trial_that_breaks_down_is_said(suite: pytest.Pytester, run: Run) -> None:
    suite.makepyfile(
        test_new="""
        import os, pytest

        @pytest.mark.unit
        def test_exits(times):
            if times > 1:
                os._exit(7)
        """
    )

    (note, *_) = notes(run("--sergas-detect-flaky"))

    assert note.startswith("detect-flaky: a trial ended with status 7: ")


def test_run_that_was_stopped_is_followed_by_no_trial(suite: pytest.Pytester, run: Run) -> None:
    suite.makepyfile(test_new="def test_steady(times): pass\ndef test_broken(): assert 0\ndef test_behind(): pass\n")

    ran = run("--sergas-detect-flaky", "-x")

    assert (notes(ran), times(suite, "test_steady")) == ([], 1)


POLLUTED = """
import json, pathlib, pytest

STATE = []

def note(name):
    with pathlib.Path("orders").open("a") as file:
        file.write(name)

@pytest.mark.unit
def test_polluter(times):
    STATE.append(1)
    note("p")

@pytest.mark.unit
def test_victim(times):
    note("v")
    assert times == 1 or not STATE  # the run before the trials passes, in this order too
"""


def test_test_that_fails_behind_another_one_is_tried_in_both_orders(suite: pytest.Pytester, run: Run) -> None:
    # Chance has a seed, so that both orders are among six.
    seeded = "import random\nfrom pytest_sergas.plugin import detection as plugin\nplugin.random = random.Random(7)\n"
    suite.makeconftest(CONFTEST.replace('float("inf"), 3', 'float("inf"), 6') + seeded)
    suite.makepyfile(test_new=POLLUTED)

    (note,) = notes(run("--sergas-detect-flaky"))

    orders = (suite.path / "orders").read_text()
    together = [orders[place : place + 2] for place in range(2, 14, 2)]
    assert set(together) == {"pv", "vp"}
    assert note.endswith(f": failed {together.count('pv')} of 6 times in random order, 0 of 6 times alone")


ONCE = CONFTEST.replace('float("inf"), 3', 'float("inf"), 1')


@pytest.mark.parametrize(
    ("limits", "note"),
    [
        pytest.param((0.01, 0.0, 0.0), "a trial did not end within 0 s", id="too short"),
        # Fixtures of a session are no part of most tests' seconds, but of the run's.
        pytest.param((0.0, 1000.0, 0.0), "1 test was tried, and steady", id="many times the run"),
    ],
)
def test_trial_has_a_limit_that_counts_the_whole_run_and_is_said_once(
    suite: pytest.Pytester, run: Run, limits: tuple[float, ...], note: str
) -> None:
    setting = f"plugin._SPARE_S, plugin._RUNS, plugin._TIMES = {limits}"
    suite.makeconftest(f"{ONCE}from pytest_sergas.plugin import detection as plugin\n{setting}\n")
    suite.makepyfile(test_new="import pytest\n@pytest.mark.unit\ndef test_steady(times): pass\n")

    assert notes(run("--sergas-detect-flaky")) == [f"detect-flaky: {note}"]


def test_several_steady_tests_are_counted(suite: pytest.Pytester, run: Run) -> None:
    suite.makeconftest(ONCE)
    suite.makepyfile(
        test_new="import pytest\n@pytest.mark.unit\n@pytest.mark.parametrize('n', [1, 2])\ndef test_steady(n): pass\n"
    )

    assert notes(run("--sergas-detect-flaky")) == ["detect-flaky: 2 tests were tried, and steady"]
