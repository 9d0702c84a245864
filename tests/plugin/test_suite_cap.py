"""Budgets in a run that may make only so many repetitions: what cannot be repeated is judged as it stands."""

from __future__ import annotations

import pytest

from tests.plugin.conftest import Run
from tests.plugin.test_budgets import BOTH, SLOW, WAITED, attempts, saying, suite

__all__ = ["suite"]  # the fixture

pytestmark = pytest.mark.integration


def several(number: int, times: str) -> str:
    """Return so many tests, all attempts of which take the seconds of ``times``."""
    return (
        "import pytest\n@pytest.mark.performance(max_duration=2)\n"
        f"@pytest.mark.parametrize('n', range({number}))\ndef test_one(said, n):\n    said.append({times})\n"
    )


@BOTH
def test_test_that_only_waited_passes_where_nothing_may_be_repeated(
    suite: pytest.Pytester, run: Run, workers: tuple[str, ...]
) -> None:
    suite.makefile(".toml", sergas="max_retries = 0\n")
    suite.makepyfile(saying(WAITED))

    assert attempts(run(*workers).tests["test_one"]) == ["passed"]


def test_text_is_that_of_one_attempt_where_nothing_may_be_repeated(suite: pytest.Pytester, run: Run) -> None:
    suite.makepyfile(saying(SLOW))

    test = run("--max-suite-reruns=0").tests["test_one"]

    assert attempts(test) == ["over_budget"]
    assert test["message"].splitlines()[0] == (
        "BudgetExceeded: over budget: max_duration = 2 (seconds), and the attempt took 3.00 s, 1.00 s or 50% more"
    )
    assert "Not decided yet" not in test["message"]


@BOTH
def test_busy_machine_fails_no_test_when_the_repetitions_are_used_up(
    suite: pytest.Pytester, run: Run, workers: tuple[str, ...]
) -> None:
    suite.makepyfile(test_a=several(10, WAITED), test_b=several(10, WAITED))

    tests = run("--max-suite-reruns=9", *workers).document["results"]["tests"]  # type: ignore[index]  # it is there

    assert {test["rawStatus"] for test in tests} == {"passed"}
    assert sum(len(attempts(test)) - 1 for test in tests) == 9


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        pytest.param(WAITED, ["over_budget", "passed"], id="attempts that disagree prove nothing"),
        pytest.param(SLOW, ["over_budget", "over_budget"], id="attempts that agree do"),
    ],
)
def test_attempts_that_were_made_decide_when_the_repetitions_are_used_up(
    suite: pytest.Pytester, run: Run, second: str, expected: list[str]
) -> None:
    suite.makepyfile(test_a=several(1, SLOW), test_b=saying(f"{SLOW}, {second}").replace("test_one", "test_two"))

    assert attempts(run("--max-suite-reruns=3").tests["test_two"]) == expected


# Two tests of two workers that meet: each file runs on a worker of its own.
MEETING = """
import pathlib, pytest, time

def meet(mine, theirs):
    pathlib.Path(mine).touch()
    while not pathlib.Path(theirs).exists():
        time.sleep(0.01)
"""
TWO_WORKERS = ("-n", "2", "--dist=loadfile")


def test_two_workers_never_count_on_the_same_repetition(suite: pytest.Pytester, run: Run) -> None:
    body = """
@pytest.fixture
def met(said):
    yield
    if len(said) < 3:  # judged, and not yet repeated
        meet(f"{ME}{len(said)}", f"{OTHER}{len(said)}")

@pytest.mark.unit(max_duration=2, timeout=60)
def test_one(said, met): said.append((3, 1, 1))
"""
    suite.makepyfile(test_a=f"{MEETING}ME, OTHER = 'a', 'b'\n{body}", test_b=f"{MEETING}ME, OTHER = 'b', 'a'\n{body}")

    tests = run("--max-suite-reruns=3", *TWO_WORKERS).document["results"]["tests"]  # type: ignore[index]  # it is there

    assert sorted(attempts(test) for test in tests) == [
        ["over_budget", "over_budget", "passed"],
        ["over_budget", "passed"],
    ]


def test_repetition_that_is_not_made_is_left_to_other_workers(suite: pytest.Pytester, run: Run) -> None:
    suite.makepyfile(
        test_a=f"""{MEETING}
@pytest.fixture
def broken():
    yield
    assert False

@pytest.mark.unit(max_duration=2)
def test_one(said, broken): said.append({SLOW})

def test_last(): pathlib.Path("done").touch()
""",
        test_b=f"""{MEETING}
@pytest.mark.unit(max_duration=2, timeout=60)
def test_two(said):
    meet("here", "done")
    said.append({WAITED})
""",
    )

    tests = run("--max-suite-reruns=2", *TWO_WORKERS).tests

    assert (attempts(tests["test_one"]), len(attempts(tests["test_two"]))) == (["error"], 3)


def test_fixtures_of_the_module_outlive_the_last_repetition(suite: pytest.Pytester, run: Run) -> None:
    suite.makepyfile(
        f"""
        import pytest
        MADE = []

        @pytest.fixture(scope="module")
        def shared(): MADE.append(1)

        @pytest.mark.performance(max_duration=2)
        def test_one(said, shared):
            said.append({WAITED})
            assert MADE == [1]
        """
    )

    assert attempts(run("--max-suite-reruns=2").tests["test_one"]) == ["over_budget", "over_budget", "passed"]
