"""Relative budgets in real runs: what they are judged by, what is kept, and what a broken history does."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from pathlib import Path

import pytest

from pytest_sergas.core.baselines import Sample, from_json, to_json
from pytest_sergas.plugin.baselines import change, machine, read
from tests.plugin.conftest import Run
from tests.plugin.test_budgets import CONFTEST, attempts, saying

pytestmark = pytest.mark.integration

BOTH = pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "with workers"])
NAME = "test_it.py::test_one"
MARK = '@pytest.mark.performance(max_regression="20%")'
STEADY, SLOWER = "(1, 1, 1)", "(1.3, 1.3, 1.3)"
TOO_LITTLE = (
    "max_regression: 1 test has too little history on this kind of machine, or too few attempts to compare; measured, "
    "not judged"
)


# The cores of this machine are at their best, unless a test says otherwise.
PACED = (
    f"{CONFTEST}\nfrom pytest_sergas.plugin.pace import Pace\nPace.slowness = lambda self: SLOWNESS\nSLOWNESS = 1.0\n"
)


@pytest.fixture
def suite(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeconftest(PACED)
    pytester.makefile(".toml", sergas='history = "history.json"\n')
    return pytester


def keep(suite: pytest.Pytester, *, runs: int = 7, on: str = "", when_s: float | None = None) -> Path:
    """Write a history of so many runs of a second."""
    now_s = time.time() if when_s is None else when_s
    samples = tuple(Sample(now_s, 1.0, "main") for _ in range(runs))
    path = suite.path / "history.json"
    path.write_bytes(to_json({on or machine(): {NAME: samples}}))
    return path


def notes(ran: object) -> list[str]:
    document = ran.document  # type: ignore[attr-defined]  # a Ran
    found: list[str] = document["results"]["extra"].get("notes", [])
    return [note for note in found if "was no gain" not in note]  # which a busy machine may say too


def samples(path: Path, on: str = "") -> list[float]:
    known, _ = from_json(path.read_bytes(), time.time())
    return [one.seconds for one in known[on or machine()][NAME]]


@BOTH
@pytest.mark.parametrize(
    ("times", "expected"),
    [
        pytest.param([STEADY], ["passed"], id="steady"),
        pytest.param([SLOWER] * 3, ["over_budget"] * 3, id="slower"),
        pytest.param([SLOWER, STEADY, STEADY], ["over_budget", "over_budget", "passed"], id="slower once"),
    ],
)
def test_test_is_compared_with_its_history(
    suite: pytest.Pytester, run: Run, workers: tuple[str, ...], times: list[str], expected: list[str]
) -> None:
    keep(suite)
    suite.makepyfile(test_it=saying(", ".join(times), MARK))

    assert attempts(run(*workers).tests["test_one"]) == expected


@BOTH
def test_too_little_history_passes_says_so_and_grows(
    suite: pytest.Pytester, run: Run, workers: tuple[str, ...]
) -> None:
    path = keep(suite, runs=6)
    suite.makepyfile(test_it=saying(SLOWER, MARK))

    ran = run(*workers)

    assert (attempts(ran.tests["test_one"]), notes(ran)) == (["passed"], [TOO_LITTLE])
    assert samples(path) == [*[1.0] * 6, 1.3]


def test_a_comparison_takes_at_least_three_attempts(suite: pytest.Pytester, run: Run) -> None:
    keep(suite)
    mark = '@pytest.mark.performance(max_regression="20%", budget_attempts=1)'
    suite.makepyfile(test_it=saying(", ".join([SLOWER] * 3), mark))

    assert attempts(run().tests["test_one"]) == ["over_budget"] * 3


def test_record_names_the_machine_that_history_is_kept_for(suite: pytest.Pytester, run: Run) -> None:
    suite.makepyfile(test_it=saying(STEADY, MARK))

    document = run().document

    assert document is not None
    assert document["results"]["environment"]["extra"]["machine"] == machine()


def test_machine_is_told_by_processor_cores_and_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nmodel name\t: Example CPU @ 3.00GHz\nmodel name\t: Example CPU\n")
    monkeypatch.setattr("pytest_sergas.plugin.baselines._CPUINFO", cpuinfo)
    python = f"{platform.python_implementation()} {sys.version_info.major}.{sys.version_info.minor}"

    assert machine() == f"Example CPU @ 3.00GHz, {os.cpu_count()} cores, {python}"


def test_machine_without_cpuinfo_is_told_by_what_the_platform_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_sergas.plugin.baselines._CPUINFO", tmp_path / "missing")

    assert machine().partition(",")[0] == (platform.processor() or platform.machine())


def test_core_that_is_slower_than_at_its_best_is_no_slower_test(suite: pytest.Pytester, run: Run) -> None:
    path = keep(suite)
    suite.makeconftest(f"{PACED}SLOWNESS = 1.3\n")
    suite.makepyfile(test_it=saying(", ".join([SLOWER] * 3), MARK))

    test = run().tests["test_one"]

    assert attempts(test) == ["over_budget", "over_budget", "passed"]
    measured = test["extra"]["measured"]
    assert measured["method"] == "schedstat+VmHWM+pace"
    assert (measured["wallSeconds"], measured["undisturbedSeconds"], measured["pacedSeconds"]) == (1.3, 1.3, 1.0)
    assert samples(path) == [1.0] * 8


def test_core_that_is_slower_than_at_its_best_counts_for_a_duration(suite: pytest.Pytester, run: Run) -> None:
    keep(suite)
    suite.makeconftest(f"{PACED}SLOWNESS = 1.3\n")
    mark = '@pytest.mark.performance(max_regression="20%", max_duration=1.2)'
    suite.makepyfile(test_it=saying(", ".join([SLOWER] * 3), mark))

    message = run().tests["test_one"]["message"]

    assert message.splitlines()[0] == (
        "BudgetExceeded: over budget: max_duration = 1.2 (seconds), and the median of the attempts took 1.30 s, "
        "100.0 ms or 8% more"
    )
    assert "max_regression" not in message


def test_run_that_fails_leaves_no_sample(suite: pytest.Pytester, run: Run) -> None:
    path = keep(suite)
    suite.makepyfile(test_it=saying(", ".join([SLOWER] * 3), MARK))

    run()

    assert samples(path) == [1.0] * 7


def test_history_of_another_machine_is_kept_and_not_compared_with(suite: pytest.Pytester, run: Run) -> None:
    path = keep(suite, on="another one")
    suite.makepyfile(test_it=saying(SLOWER, MARK))

    ran = run()

    assert (ran.outcomes, notes(ran)) == ({"test_one": "passed"}, [TOO_LITTLE])
    assert (samples(path, "another one"), samples(path)) == ([1.0] * 7, [1.3])


def test_samples_from_the_future_are_not_compared_with(suite: pytest.Pytester, run: Run) -> None:
    path = keep(suite, when_s=time.time() + 10 * 86_400)
    suite.makepyfile(test_it=saying(SLOWER, MARK))

    ran = run()

    assert ran.outcomes == {"test_one": "passed"}
    assert notes(ran) == [
        TOO_LITTLE,
        f"history: {path}: 7 samples are from the future and left out; is the clock right?",
    ]
    assert samples(path) == [1.3]


def test_one_sample_from_the_future_is_one(tmp_path: Path) -> None:
    path = tmp_path / "history.json"
    path.write_bytes(to_json({"cpu": {NAME: (Sample(time.time() + 10 * 86_400, 1.0),)}}))

    assert read(path).note == f"history: {path}: 1 sample is from the future and left out; is the clock right?"


def test_history_whose_directory_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "history.json"

    assert change(path, dict) == [f"history: {path} cannot be written: File exists"]


@pytest.mark.skipif(sys.platform != "linux", reason="where else nobody at all can write is not known")
def test_history_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    path = tmp_path / "history.json"
    path.symlink_to("/proc/nowhere/history.json")

    assert change(path, dict) == [f"history: {path} cannot be written: No such file or directory"]


def test_history_that_is_corrupt_starts_anew(suite: pytest.Pytester, run: Run) -> None:
    path = keep(suite)
    path.write_bytes(path.read_bytes()[:-20])
    suite.makepyfile(test_it=saying(SLOWER, MARK))

    ran = run()

    assert notes(ran) == [TOO_LITTLE, f"history: {path} is not whole JSON (JSONDecodeError); it starts anew"]
    assert samples(path) == [1.3]


def test_history_of_a_later_version_is_left_alone(suite: pytest.Pytester, run: Run) -> None:
    path = keep(suite)
    later = json.dumps({**json.loads(path.read_bytes()), "version": 2})
    path.write_text(later, encoding="ascii")
    suite.makepyfile(test_it=saying(SLOWER, MARK))

    ran = run()

    assert notes(ran) == [
        TOO_LITTLE,
        f'history: {path} has another "version" than 1: 2; it is left as it is, and nothing is compared',
    ]
    assert path.read_text(encoding="ascii") == later


def test_history_that_cannot_be_read_is_said(suite: pytest.Pytester, run: Run) -> None:
    (suite.path / "history.json").mkdir()
    suite.makepyfile(test_it=saying(SLOWER, MARK))

    assert notes(run())[1:] == [
        f"history: {suite.path / 'history.json'} cannot be read: Is a directory; nothing is compared"
    ]


@pytest.mark.usefixtures("run")  # nothing of the surrounding run reaches the inner one
def test_history_stands_in_the_cache_unless_a_file_is_named(suite: pytest.Pytester) -> None:
    (suite.path / "sergas.toml").unlink()
    suite.makepyfile(test_it=saying(SLOWER, MARK))

    suite.runpytest_subprocess()

    assert samples(suite.path / ".pytest_cache" / "d" / "sergas" / "history.json") == [1.3]


@pytest.mark.parametrize(
    "arguments",
    [("-p", "no:rerunfailures"), ("--pdb",), ("--max-suite-reruns=0",)],
    ids=["not there", "debugger", "none allowed"],
)
def test_test_that_cannot_be_repeated_is_measured_and_not_judged(
    suite: pytest.Pytester, run: Run, arguments: tuple[str, ...]
) -> None:
    keep(suite)
    suite.makepyfile(test_it=saying(SLOWER, MARK))

    ran = run(*arguments)

    assert (ran.outcomes, notes(ran)) == ({"test_one": "passed"}, [TOO_LITTLE])


def test_summary_says_how_much_slower_it_was(suite: pytest.Pytester, run: Run) -> None:
    keep(suite)
    suite.makepyfile(test_it=saying(", ".join([SLOWER] * 3), MARK))

    assert (
        "over budget: test_it.py::test_one\n       max_regression = 20%, took 30% more than in earlier runs\n"
        in run().text
    )


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("'20 %%'", "'20 %%'"),
        ("'20'", "'20'"),
        ("0", "0"),
        ("-0.1", "-0.1"),
        ("float('nan')", "nan"),
        ("'0%'", "'0%'"),
        ("'2000%'", "'2000%'"),
    ],
)
def test_share_that_is_none_is_refused(pytester: pytest.Pytester, run: Run, given: str, shown: str) -> None:
    pytester.makepyfile(test_it=f"import pytest\n@pytest.mark.unit(max_regression={given})\ndef test_one(): pass")

    result = run(record=False).result

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert (
        f"test_it.py::test_one: @pytest.mark.unit(max_regression={shown}): "
        'allowed: a share such as "20%" or 0.2, more than 0% and at most 1000%'
    ) in result.stderr.str()
