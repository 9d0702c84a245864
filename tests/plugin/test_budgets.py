"""Budgets over attempts: what is repeated, what is recorded, and what other gates see of it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.plugin.conftest import Run

pytestmark = pytest.mark.integration

# How long a call took is said by the test: no clock decides here, and no machine is too busy.
CONFTEST = """
import pytest
from pytest_sergas.plugin.measuring import Meter

SAID = []

@pytest.fixture(autouse=True)
def said():
    return SAID

@pytest.hookimpl(tryfirst=True)
def pytest_configure():
    def stop(self):
        wall, undisturbed, cpu = SAID[-1] if SAID else (0.0, 0.0, 0.0)
        return ("schedstat+VmHWM", wall, undisturbed, cpu, 0.0, 0)
    Meter.stop = stop
"""
BOTH = pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "with workers"])


@pytest.fixture
def suite(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeconftest(CONFTEST)
    return pytester


def saying(times: str, marks: str = "@pytest.mark.performance(max_duration=2)", body: str = "") -> str:
    """Return a test whose attempts take the seconds of ``times``: (wall, undisturbed, CPU) each."""
    return f"import pytest\nTIMES = iter([{times}])\n{marks}\ndef test_one(said):\n    said.append(next(TIMES))\n{body}"


FAST, SLOW, WAITED = "(1, 1, 1)", "(3, 3, 3)", "(3, 1, 1)"


def attempts(test: dict[str, Any]) -> list[str]:
    """Return the outcomes of the attempts, oldest first."""
    return [*(one["extra"]["rawStatus"] for one in test.get("retryAttempts", ())), test["rawStatus"]]


@BOTH
@pytest.mark.parametrize(
    ("times", "expected"),
    [
        pytest.param([FAST], ["passed"], id="wall time within"),
        pytest.param([SLOW, FAST], ["over_budget", "passed"], id="within later"),
        pytest.param([SLOW] * 3, ["over_budget"] * 3, id="three over"),
        pytest.param([WAITED] * 3, ["over_budget", "over_budget", "passed"], id="three only waited"),
        pytest.param([SLOW, WAITED, SLOW, SLOW], ["over_budget"] * 4, id="disagree, and three are over"),
        pytest.param(
            [SLOW, WAITED, SLOW, WAITED, WAITED], ["over_budget"] * 4 + ["passed"], id="disagree, and three waited"
        ),
    ],
)
def test_attempts_are_made_until_the_verdict_is_sure(
    suite: pytest.Pytester, run: Run, workers: tuple[str, ...], times: list[str], expected: list[str]
) -> None:
    suite.makepyfile(saying(", ".join(times)))

    ran = run(*workers)

    assert attempts(ran.tests["test_one"]) == expected
    assert ran.result.ret == (0 if expected[-1] == "passed" else 1)


def test_budget_met_later_is_passed_and_neither_flaky_nor_retried(suite: pytest.Pytester, run: Run) -> None:
    suite.makepyfile(saying(f"{SLOW}, {FAST}"))

    ran = run()

    test = ran.tests["test_one"]
    assert (test["rawStatus"], test["flaky"], test["retries"]) == ("passed", False, 0)
    assert ran.document is not None
    assert ran.document["results"]["summary"]["flaky"] == 0


@BOTH
def test_samples_are_named_in_the_terminal(suite: pytest.Pytester, run: Run, workers: tuple[str, ...]) -> None:
    suite.makepyfile(saying(f"{SLOW}, {FAST}"))

    last = run(*workers).text.splitlines()[-1]

    assert "1 passed, 1 sampled in" in last
    assert "rerun" not in last


@BOTH
def test_fail_on_flaky_does_not_see_samples(suite: pytest.Pytester, run: Run, workers: tuple[str, ...]) -> None:
    suite.makepyfile(saying(f"{SLOW}, {FAST}"))

    assert run("--fail-on-flaky", *workers).result.ret == 0


def test_fail_on_flaky_still_sees_a_failure_beside_a_sample(suite: pytest.Pytester, run: Run) -> None:
    marks = "@pytest.mark.performance(max_duration=2, retries=1)"
    suite.makepyfile(saying(f"{SLOW}, {FAST}, {FAST}", marks, "    assert len(said) != 2"))

    ran = run("--fail-on-flaky")

    assert attempts(ran.tests["test_one"]) == ["over_budget", "failed", "flaky"]
    assert ran.result.ret == 7


@pytest.mark.parametrize("retries", [0, 1])
def test_failure_is_repeated_as_often_as_without_a_budget(suite: pytest.Pytester, run: Run, retries: int) -> None:
    marks = f"@pytest.mark.performance(max_duration=2, retries={retries})"
    suite.makepyfile(saying(f"{SLOW}, {FAST}, {FAST}, {FAST}", marks, "    assert len(said) == 1"))

    assert attempts(run().tests["test_one"]) == ["over_budget", *["failed"] * (retries + 1)]


@pytest.mark.parametrize(
    ("arguments", "marks"),
    [
        pytest.param(("--reruns=1", "--only-rerun=ConnectionError"), "", id="only-rerun"),
        pytest.param(("--reruns=1", "--rerun-except=."), "", id="rerun-except"),
        pytest.param((), "@pytest.mark.flaky(reruns=1, condition=False)", id="condition of a marker"),
        pytest.param((), "@pytest.mark.flaky(reruns=1, only_rerun=['ConnectionError'])", id="filter of a marker"),
    ],
)
def test_filters_keep_their_word_on_failures_and_none_on_budgets(
    suite: pytest.Pytester, run: Run, arguments: tuple[str, ...], marks: str
) -> None:
    marks = f"{marks}\n@pytest.mark.performance(max_duration=2)"
    suite.makepyfile(saying(f"{SLOW}, {FAST}, {FAST}", marks, "    assert len(said) == 1"))

    assert attempts(run(*arguments).tests["test_one"]) == ["over_budget", "failed"]


def test_filter_that_allows_a_failure_still_does(suite: pytest.Pytester, run: Run) -> None:
    body = "    if len(said) == 2: raise ConnectionError('not yet')"
    suite.makepyfile(saying(f"{SLOW}, {FAST}, {FAST}", body=body))

    assert attempts(run("--reruns=1", "--only-rerun=ConnectionError").tests["test_one"]) == [
        "over_budget",
        "failed",
        "flaky",
    ]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        pytest.param("ConnectionRefusedError", ["over_budget", "failed", "flaky"], id="one of them"),
        pytest.param("ValueError", ["over_budget", "failed"], id="another"),
    ],
)
def test_retry_on_keeps_its_word_on_failures_and_none_on_budgets(
    suite: pytest.Pytester, run: Run, error: str, expected: list[str]
) -> None:
    marks = "@pytest.mark.performance(max_duration=2, retries=1, retry_on=[ConnectionError])"
    suite.makepyfile(saying(f"{SLOW}, {FAST}, {FAST}", marks, f"    if len(said) == 2: raise {error}('no')"))

    assert attempts(run().tests["test_one"]) == expected


def test_memory_over_its_budget_is_not_repeated(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.load(max_memory_mb=10, retries=2)
        def test_one():
            held = bytearray(50 << 20)
        """
    )

    assert attempts(run().tests["test_one"]) == ["over_budget"]


def test_error_in_teardown_is_not_hidden_by_a_sample(suite: pytest.Pytester, run: Run) -> None:
    suite.makepyfile(
        f"""
        import pytest
        TIMES = iter([{SLOW}, {FAST}])

        @pytest.fixture
        def broken(said):
            yield
            assert len(said) > 1

        @pytest.mark.performance(max_duration=2)
        def test_one(said, broken): said.append(next(TIMES))
        """
    )

    assert attempts(run().tests["test_one"]) == ["error"]


def test_expected_failure_is_measured_and_not_judged(suite: pytest.Pytester, run: Run) -> None:
    suite.makepyfile(saying(SLOW, "@pytest.mark.xfail\n@pytest.mark.performance(max_duration=2)"))

    test = run().tests["test_one"]

    assert test["rawStatus"] == "xpassed"
    assert test["extra"]["measured"]["budgets"] == {"max_duration": {"used": 3, "allowed": 2}}


@pytest.mark.parametrize("arguments", [("-p", "no:rerunfailures"), ("--pdb",)], ids=["not there", "debugger"])
def test_one_attempt_decides_where_nothing_can_be_repeated(
    suite: pytest.Pytester, run: Run, arguments: tuple[str, ...]
) -> None:
    suite.makepyfile(saying(WAITED))

    assert attempts(run(*arguments).tests["test_one"]) == ["passed"]


def test_forced_number_of_repetitions_bounds_the_attempts(suite: pytest.Pytester, run: Run) -> None:
    suite.makepyfile(saying(f"{WAITED}, {SLOW}, {WAITED}"))

    assert attempts(run("--force-reruns=2").tests["test_one"]) == ["over_budget", "over_budget", "passed"]


def test_number_of_attempts_is_a_setting(suite: pytest.Pytester, run: Run) -> None:
    suite.makepyfile(saying(WAITED, "@pytest.mark.performance(max_duration=2, budget_attempts=1)"))

    assert attempts(run().tests["test_one"]) == ["passed"]


def test_budget_comes_from_the_directory(suite: pytest.Pytester, run: Run) -> None:
    suite.makefile(".toml", sergas='[types.load]\npaths = ["fast"]\nmax_duration = 2\nbudget_attempts = 1\n')
    suite.mkdir("fast")
    (suite.path / "fast" / "test_it.py").write_text(saying(SLOW, ""))

    assert run().outcomes == {"test_one": "over_budget"}


def test_failure_text_stands_in_the_record_and_on_the_terminal(suite: pytest.Pytester, run: Run) -> None:
    suite.makepyfile(test_it=saying(", ".join([SLOW] * 3)))
    text = (
        "over budget: max_duration = 2 (seconds), and the median of the attempts took 3.00 s, 1.00 s or 50% more\n"
        "  attempt       wall  undisturbed        CPU    waited for a CPU\n"
        "        1     3.00 s       3.00 s     3.00 s         0.0 ms (0%)\n"
        "        2     3.00 s       3.00 s     3.00 s         0.0 ms (0%)\n"
        "        3     3.00 s       3.00 s     3.00 s         0.0 ms (0%)\n"
        "What counts is undisturbed time: wall time without the time that the test was ready and waited for a CPU.\n"
        "Make the call cheaper, or allow it more: max_duration in the test's marker, or in "
        "[tool.sergas.types.performance]."
    )

    ran = run()

    assert ran.tests["test_one"]["message"] == f"BudgetExceeded: {text}"
    assert f"\n{text}\n" in ran.text
    assert "over budget: test_it.py::test_one\n       max_duration = 2, used 3 s (150%)\n" in ran.text


@pytest.mark.parametrize(
    ("budget_attempts", "expected"),
    [
        pytest.param(1, "the attempt used", id="one attempt"),
        pytest.param(3, "the median of the attempts used", id="several"),
    ],
)
def test_cpu_that_a_call_really_used_is_judged(
    pytester: pytest.Pytester, run: Run, budget_attempts: int, expected: str
) -> None:
    pytester.makepyfile(
        f"""
        import pytest, time

        @pytest.mark.unit(max_cpu=0.01, budget_attempts={budget_attempts})
        def test_one():
            end_s = time.process_time() + 0.05
            while time.process_time() < end_s: pass
        """
    )

    test = run().tests["test_one"]

    assert attempts(test) == ["over_budget"] * budget_attempts
    headline = (
        rf"BudgetExceeded: over budget: max_cpu = 0\.01 \(seconds\), and {expected} [\d.]+ ms, [\d.]+ ms or \d+% more"
    )
    assert re.fullmatch(headline, test["message"].splitlines()[0])
    assert test["extra"]["measured"]["cpuSeconds"] >= 0.05


def test_budget_use_is_recorded_for_a_test_that_passed(suite: pytest.Pytester, run: Run) -> None:
    suite.makepyfile(saying(FAST, "@pytest.mark.performance(max_duration=2, max_cpu=4, max_memory_mb=8)"))

    assert run().tests["test_one"]["extra"]["measured"]["budgets"] == {
        "max_memory_mb": {"used": 0, "allowed": 8},
        "max_duration": {"used": 1, "allowed": 2},
        "max_cpu": {"used": 1, "allowed": 4},
    }


SECONDS = "allowed: seconds, more than 0 and at most 31622400, such as 90 or '1h30m'"
MIB = "allowed: MiB, more than 0 and at most 1000000000"
ALLOWED = {"max_duration": SECONDS, "max_cpu": SECONDS, "max_memory_mb": MIB}


@pytest.mark.parametrize("budget", ALLOWED)
def test_budget_of_a_marker_that_is_none_is_refused(pytester: pytest.Pytester, run: Run, budget: str) -> None:
    given = {"0": "0", "-1": "-1", "float('nan')": "nan", "'20 x'": "'20 x'", "'20 %%'": "'20 %%'", "True": "True"}
    tests = [f"@pytest.mark.unit({budget}={value})\ndef test_{number}(): pass\n" for number, value in enumerate(given)]
    pytester.makepyfile(test_it="import pytest\n" + "".join(tests))

    result = run(record=False).result

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert re.findall(r"^  (.*)$", result.stderr.str(), re.MULTILINE) == [
        f"test_it.py::test_{number}: @pytest.mark.unit({budget}={shown}): {ALLOWED[budget]}"
        for number, shown in enumerate(given.values())
    ]


def test_budget_of_a_type_that_is_none_is_refused(pytester: pytest.Pytester, run: Run) -> None:
    given = {"unit": "0", "smoke": "-1", "load": "nan", "e2e": "'20 x'", "stress": "'20 %%'"}
    tables = [f"[types.{name}]\n" + "".join(f"{key} = {value}\n" for key in ALLOWED) for name, value in given.items()]
    pytester.makefile(".toml", sergas="".join(tables))
    pytester.makepyfile(test_it="def test_one(): pass")

    result = run(record=False).result

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert re.findall(r"^  (.*)$", result.stderr.str(), re.MULTILINE) == [
        f"sergas.toml: [types.{name}] {budget} = {value}: {allowed}"
        for name, value in given.items()
        for budget, allowed in ALLOWED.items()
    ]
