"""How a test stands: by tables of outcomes, written newest first."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sergas.core.proportion import wilson
from pytest_sergas.core.records import Outcome
from pytest_sergas.core.standing import Seen, Standing, assess

pytestmark = pytest.mark.unit

LETTERS = {"p": "passed", "f": "failed", "~": "flaky", "s": "skipped", "t": "timeout", "x": "xfailed", "o": "other"}


def seen(newest_first: str, duration_s: float = 0.1) -> list[Seen]:
    return [Seen(LETTERS[letter], duration_s) for letter in newest_first]


@pytest.mark.parametrize(
    ("newest_first", "standing", "reason"),
    [
        pytest.param("fff", "broken", "it failed in the newest 3 runs of 3", id="three failures"),
        pytest.param("ftf~", "broken", "it failed in the newest 3 runs of 4", id="whatever kind of failure"),
        pytest.param("f", "broken", "it failed in the newest run of 1", id="the only run"),
        pytest.param("fxp", "broken", "it failed in the newest run of 3", id="the first failure"),
        pytest.param("sffp", "broken", "it failed in the newest 2 runs of 3", id="a run that was skipped"),
        pytest.param("fpp~pppp", "flaky", "it failed or was flaky in 2 of 8 runs, and passed in others", id="again"),
        pytest.param("pfp", "flaky", "it failed or was flaky in 1 of 3 runs, and passed in others", id="between"),
        pytest.param("~", "flaky", "it failed or was flaky in 1 of 1 runs, and passed in others", id="within a run"),
        pytest.param("ppppff", "stable", "nothing stands out in 6 runs", id="repaired"),
        pytest.param("", "new", "no runs have judged it; 5 are needed to say more", id="never"),
        pytest.param("sso", "new", "no runs have judged it; 5 are needed to say more", id="skipped"),
        pytest.param("p", "new", "1 run has judged it; 5 are needed to say more", id="once"),
        pytest.param("psppp", "new", "4 runs have judged it; 5 are needed to say more", id="four times"),
        pytest.param("ppppp", "stable", "nothing stands out in 5 runs", id="five times"),
    ],
)
def test_outcomes_make_the_standing(newest_first: str, standing: str, reason: str) -> None:
    found = assess(seen(newest_first))

    assert (found.standing.value, found.reason) == (standing, reason)


def test_runs_that_took_half_as_long_again_are_slower() -> None:
    found = assess([*seen("ppppp", 0.32), *seen("ppppp", 0.2)])

    assert found.standing is Standing.SLOWER
    assert found.reason == "the newest 5 passes took 0.32 s, those before 0.20 s, 1.6 times as long"


@pytest.mark.parametrize(
    ("newest_s", "before_s"),
    [
        pytest.param([0.29] * 5, [0.2] * 5, id="less than half as long again"),
        pytest.param([0.010] * 5, [0.001] * 5, id="milliseconds"),
        pytest.param([0.4, 0.4, 0.4, 0.4, 0.2], [0.2] * 5, id="one as fast as ever"),
        pytest.param([0.4] * 5, [0.2] * 4, id="few before"),
    ],
)
def test_noise_is_not_slower(newest_s: list[float], before_s: list[float]) -> None:
    found = assess([Seen("passed", duration_s) for duration_s in [*newest_s, *before_s]])

    assert found.standing is Standing.STABLE


def test_tests_that_took_no_time_can_become_slower() -> None:
    found = assess([*seen("ppppp", 0.1), *seen("ppppp", 0.0)])

    assert found.reason == "the newest 5 passes took 0.10 s, those before 0.00 s"


@given(st.lists(st.builds(Seen, st.sampled_from([*map(str, Outcome), "pending"]), st.floats(0, 1e6))))
def test_every_history_has_a_standing_and_a_share(newest_first: list[Seen]) -> None:
    found = assess(newest_first)

    assert 0 <= found.troubled <= found.judged <= len(newest_first)
    assert found.share == wilson(found.troubled, found.judged)
    assert found.reason
