"""``sergas baseline``: shown, set, and compared between branches."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from pytest_sergas.cli import main
from pytest_sergas.core.baselines import Baselines, Sample, from_json, to_json
from pytest_sergas.core.ctrf import to_json as to_ctrf
from pytest_sergas.core.records import Environment, Outcome
from pytest_sergas.plugin.baselines import machine
from tests.core.test_baselines import took
from tests.publishers.conftest import record, run_of

pytestmark = pytest.mark.integration

NAME = "a.py::test_one"


def write(directory: Path, baselines: Baselines) -> str:
    path = directory / "history.json"
    path.write_bytes(to_json(baselines))
    return str(path)


def of(branch: str, *seconds: float) -> tuple[Sample, ...]:
    return tuple(Sample(1_700_000_000.0 + number, value, branch) for number, value in enumerate(seconds))


def test_tests_are_shown_with_what_they_are_compared_with(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    known = {"cpu": {NAME: of("main", *[0.1] * 6, 0.2), "b.py::few": of("main", 2.0)}}

    assert main(["baseline", "--history", write(tmp_path, known)]) == 0

    assert capsys.readouterr().out == (
        "cpu\n"
        "  runs     median      least       most  test\n"
        "     7  100.00 ms  100.00 ms  200.00 ms  a.py::test_one\n"
        "     1     2.00 s     2.00 s     2.00 s  b.py::few (too few)\n"
    )


def test_branches_are_compared_with_the_slower_tests_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    known = {
        "cpu": {
            "a.py::faster": (*of("main", *[2.0] * 7), *of("mine", *[1.0] * 3)),
            "a.py::other": of("main", 1.0),
            "a.py::slower": (*of("main", *[1.0] * 7), *of("mine", *[1.5] * 3)),
            "a.py::unsure": (*of("main", 1.0), *of("mine", 4.0)),
        }
    }

    assert main(["baseline", "--history", write(tmp_path, known), "--compare", "main", "mine"]) == 0

    assert capsys.readouterr().out == (
        "cpu\n"
        "        main       mine  change            test\n"
        "      1.00 s     1.50 s    +50% slower     a.py::slower\n"
        "      1.00 s     4.00 s   +300% not sure   a.py::unsure\n"
        "      2.00 s     1.00 s    -50% faster     a.py::faster\n"
    )


def test_branches_without_a_common_test_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    history = write(tmp_path, {"cpu": {NAME: of("main", 1.0), "a.py::b": of("mine", 1.0)}})

    assert main(["baseline", "--history", history, "--compare", "main", "mine"]) == 2

    assert capsys.readouterr().err == (
        "sergas: no test was run on both 'main' and 'mine' on one kind of machine; known branches: 'main', 'mine'\n"
    )


def test_run_is_set_as_the_new_baseline(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    history = write(tmp_path, {machine(): {NAME: of("main", *[1.0] * 9), "a.py::b": of("main", 1.0)}})
    slower = record(NAME, took(1.3, Outcome.OVER_BUDGET), took(1.5, Outcome.OVER_BUDGET))
    run = tmp_path / "run.ctrf.json"
    run.write_bytes(
        to_ctrf(run_of(slower, record("a.py::b"), environment=Environment(branch="mine", machine=machine())))
    )

    assert main(["baseline", "--history", history, "--set", str(run)]) == 0

    known, _ = from_json(Path(history).read_bytes(), time.time())
    assert sorted((one.seconds, one.branch) for one in known[machine()][NAME]) == [(1.3, "mine"), (1.5, "mine")]
    assert known[machine()]["a.py::b"] == of("main", 1.0)
    assert capsys.readouterr().out == f"{history}: anew: {NAME}\n"


def test_run_of_another_machine_is_no_baseline_here(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run.ctrf.json"
    run.write_bytes(to_ctrf(run_of(record(NAME, took(1.3)), environment=Environment(machine="CPU, 64 cores"))))

    assert main(["baseline", "--history", str(tmp_path / "h.json"), "--set", str(run)]) == 2

    assert capsys.readouterr().err == (
        f"sergas: {run} was made on another kind of machine (CPU, 64 cores) than this one ({machine()}), whose times "
        "say nothing about each other; set it there\n"
    )
    assert not (tmp_path / "h.json").exists()


def test_run_without_relative_budgets_sets_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run.ctrf.json"
    run.write_bytes(to_ctrf(run_of(record(NAME))))

    assert main(["baseline", "--history", str(tmp_path / "h.json"), "--set", str(run)]) == 2

    assert capsys.readouterr().err == f"sergas: no test with max_regression was measured in {run}\n"
    assert not (tmp_path / "h.json").exists()


def test_history_that_is_none_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    history = tmp_path / "history.json"
    history.write_text("{")

    assert main(["baseline", "--history", str(history)]) == 2

    assert capsys.readouterr().err == (
        f"sergas: history: {history} is not whole JSON (JSONDecodeError); it starts anew\n"
    )


def test_history_of_the_cache_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    monkeypatch.chdir(tmp_path)

    assert main(["baseline"]) == 0

    path = tmp_path / ".pytest_cache" / "d" / "sergas" / "history.json"
    assert capsys.readouterr().out.endswith(f"{path}: nothing yet; passing runs of tests with max_regression fill it\n")


def test_key_names_another_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "sergas.toml").write_text('history = "kept/h.json"\n')
    monkeypatch.chdir(tmp_path)

    assert main(["baseline"]) == 0

    assert f"{tmp_path / 'kept' / 'h.json'}: nothing yet" in capsys.readouterr().out


def test_cache_that_is_switched_off_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -p no:cacheprovider\n")
    monkeypatch.chdir(tmp_path)

    assert main(["baseline"]) == 2

    assert capsys.readouterr().err == ("sergas: pytest's cache is switched off here; name the file with --history\n")
