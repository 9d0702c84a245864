"""The commands for runs: merge, report and plan; what they write, and what they refuse."""

from __future__ import annotations

import base64
import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_sergas.core.causes import Frame, cause_of
from pytest_sergas.core.ctrf import to_json
from pytest_sergas.core.ctrf_reading import from_json
from pytest_sergas.core.durations import Duration
from pytest_sergas.core.durations import from_json as read_durations
from pytest_sergas.core.durations import to_json as durations_to_json
from pytest_sergas.core.records import Outcome
from tests.publishers.conftest import attempt, record, run_of
from tests.sidecar.pages.html import read
from tests.test_cli import answers, sergas

pytestmark = pytest.mark.integration


@pytest.fixture
def shards(tmp_path: Path) -> tuple[Path, Path]:
    """Return the files of two shards, one test in each."""
    paths = tmp_path / "1.json", tmp_path / "2.json"
    for number, path in enumerate(paths, start=1):
        outcome = Outcome.PASSED if number == 1 else Outcome.FAILED
        run = run_of(record(f"a.py::test_{number}", outcome), run_id=f"r{number}", shard=f"{number}/2", split="s")
        path.write_bytes(to_json(run))
    return paths


def test_merge_writes_one_run(tmp_path: Path, shards: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "run.json"

    ran = answers(capsys, "merge", *map(str, shards), "-o", str(output))

    named = "cause: 1 test: failed\n       a.py::test_2\n"
    assert (ran.status, ran.out, ran.err) == (0, f"{output}: 2 tests of 2 runs\n{named}", "")
    assert [test.name for test in from_json(output.read_bytes()).tests] == ["test_1", "test_2"]


def test_merge_updates_durations(tmp_path: Path, shards: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    durations = tmp_path / "durations.json"

    answers(capsys, "merge", *map(str, shards), "-o", str(tmp_path / "run.json"), "--durations", str(durations))

    assert read_durations(durations.read_bytes()) == {"a.py::test_1": Duration(0.5, 0.125)}


def test_merge_without_a_shard_is_refused(
    tmp_path: Path, shards: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    ran = answers(capsys, "merge", str(shards[0]), "-o", str(tmp_path / "run.json"))

    assert (ran.status, ran.out) == (2, "")
    assert ran.err == (
        "sergas: the runs cannot be joined\n"
        "  missing: shard 2/2; name its file too, or join without it with --incomplete\n"
    )
    assert not (tmp_path / "run.json").exists()


def test_incomplete_merge_says_what_is_missing(
    tmp_path: Path, shards: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "run.json"

    ran = answers(capsys, "merge", str(shards[0]), "-o", str(output), "--incomplete")

    assert ran.status == 0
    assert from_json(output.read_bytes()).notes == ("joined without shard 2/2",)


@pytest.mark.parametrize("command", [("merge", "-o", "run.json"), ("report",)], ids=["merge", "report"])
def test_file_that_is_no_ctrf_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    (tmp_path / "junit.xml").write_text("<testsuites/>")

    ran = answers(capsys, *command, str(tmp_path / "junit.xml"))

    assert ran.status == 2
    assert ran.err == (
        f"sergas: {tmp_path}/junit.xml is not JSON (JSONDecodeError); name files that --sergas-ctrf has written\n"
    )


def test_file_that_is_not_there_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ran = answers(capsys, "report", str(tmp_path / "run.json"))

    assert (ran.status, ran.err) == (
        2,
        f"sergas: {tmp_path}/run.json cannot be read: No such file or directory\n",
    )


def test_report_shows_the_table(shards: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    ran = answers(capsys, "report", str(shards[0]))

    assert ran.out == (
        "type           tests passed failed  flaky   skip retries success slowest    wall\n"
        "unit               1      1      -      -      -       -    100%  500 ms  500 ms\n"
        "slowest:  500 ms a.py::test_1\n"
    )


def test_report_names_failed_tests_by_cause_with_their_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cause = cause_of("setup", "ConnectionError: no route", Frame("conftest.py", 5, "db"))
    broken = attempt(Outcome.ERROR, message="ConnectionError: no route\nmore", cause=cause)
    tests = [*(record(f"a.py::test_{n}", broken) for n in range(22)), record("a.py::test_b", Outcome.FAILED)]
    (tmp_path / "run.json").write_bytes(to_json(run_of(*tests)))

    lines = answers(capsys, "report", str(tmp_path / "run.json")).out.splitlines()

    begin = lines.index("cause: 22 tests, setup: ConnectionError at conftest.py:5 in db")
    assert lines[begin + 1] == "       ConnectionError: no route"
    assert lines[begin + 2 : begin + 22] == [f"       a.py::test_{n}" for n in range(20)]
    assert lines[begin + 22 : begin + 25] == ["       and 2 more", "cause: 1 test: failed", "       a.py::test_b"]


def test_report_uses_the_width_of_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "a.py::test_" + "long" * 30
    (tmp_path / "run.json").write_bytes(to_json(run_of(record(name, Outcome.FAILED))))

    monkeypatch.setenv("COLUMNS", "220")
    wide = answers(capsys, "report", str(tmp_path / "run.json")).out.splitlines()
    monkeypatch.setenv("COLUMNS", "20")
    narrow = answers(capsys, "report", str(tmp_path / "run.json")).out.splitlines()

    assert f"       {name}" in wide
    assert wide[0].endswith("    wall  slowest test")
    assert wide[1].endswith(f"500 ms  {name}")
    assert max(map(len, wide)) > 200
    assert max(map(len, narrow)) == 80


def test_report_shows_a_run_without_types(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run.json").write_bytes(to_json(run_of(record(type="untyped"))))

    assert "untyped            1      1" in answers(capsys, "report", str(tmp_path / "run.json")).out


def test_report_writes_markdown(tmp_path: Path, shards: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    answers(capsys, "report", str(shards[1]), "--markdown", str(tmp_path / "run.md"))

    assert "a.py::test_2" in (tmp_path / "run.md").read_text("utf-8")


SUITE = """
import pytest

@pytest.mark.unit
def test_short():
    raise SystemExit("must not run")

@pytest.mark.unit
def test_long():
    pass

@pytest.mark.load
def test_alone():
    pass
"""


def test_plan_shows_stages_lanes_and_shards_without_running(tmp_path: Path) -> None:
    (tmp_path / "test_a.py").write_text(SUITE)
    (tmp_path / "sergas.toml").write_text('durations = "durations.json"\n[types.unit]\nmax_workers = 3\n')
    times = {"test_short": 1.0, "test_long": 2.0, "test_alone": 4.0}
    durations = {f"test_a.py::{name}": Duration(seconds, 0.0) for name, seconds in times.items()}
    (tmp_path / "durations.json").write_bytes(durations_to_json(durations))

    ran = sergas(tmp_path, "plan", "-n", "2", "--shards", "2")

    assert (ran.status, ran.err) == (0, "")
    assert ran.out == (
        "3 tests in 3 units, shared out by 3 recorded durations, 1 exclusive, by one worker alone\n"
        "unit on at most 3 of the workers\n"
        "about 6.0 s at -n 2, 7.0 s without\n"
        "\n"
        "tests\n"
        "    1.0 s  test_a.py::test_short\n"
        "    2.0 s  test_a.py::test_long\n"
        "\n"
        "tests, one at a time\n"
        "    4.0 s  test_a.py::test_alone\n"
        "\n"
        "shard 1/2: 1 tests, 4.0 s\n"
        "shard 2/2: 2 tests, 3.0 s\n"
    )


def test_plan_of_nothing_says_so(tmp_path: Path) -> None:
    ran = sergas(tmp_path, "plan")

    assert (ran.status, ran.out) == (0, "0 tests in 0 units, in collection order, no durations recorded yet\n")


def test_plan_of_tests_that_cannot_be_collected_is_refused(tmp_path: Path) -> None:
    (tmp_path / "test_a.py").write_text("import nothing_of_this_name")

    ran = sergas(tmp_path, "plan")

    assert ran.status == 2
    assert "No module named 'nothing_of_this_name'" in ran.err
    assert ran.err.endswith("sergas: pytest could not collect the tests (status 2); fix that first\n")


def test_plan_for_no_workers_is_refused(tmp_path: Path) -> None:
    ran = sergas(tmp_path, "plan", "-n", "0")

    assert ran.status == 2
    assert "argument -n: '0' cannot be used; allowed: a whole number from 1 to 10000" in ran.err


def test_report_writes_a_page_that_is_one_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace = "<script>alert(1)</script>"
    run = run_of(record("a.py::test_a", attempt(Outcome.FAILED, message="<b>12</b> is not 13", trace=trace)))
    (tmp_path / "run.json").write_bytes(to_json(run))

    answers(capsys, "report", str(tmp_path / "run.json"), "-o", str(tmp_path / "run.html"))

    written = (tmp_path / "run.html").read_text("utf-8")
    page = read(written)
    assert page.all("h1")[0].text == "Run of shop"
    assert page.all("pre")[0].text == trace
    assert not [element for tag in ("script", "link", "img", "a", "b") for element in page.all(tag)]
    style = written.partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    [policy] = [meta.attributes["content"] for meta in page.all("meta") if "http-equiv" in meta.attributes]
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'"


def test_report_says_what_a_page_needs(tmp_path: Path, shards: tuple[Path, Path]) -> None:
    program = (
        "import sys; sys.modules['jinja2'] = None; from pytest_sergas.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", program, "report", str(shards[0]), "-o", str(tmp_path / "run.html")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    assert (done.returncode, done.stderr) == (
        2,
        "sergas: the page needs more packages: pip install 'pytest-sergas[sidecar]'\n",
    )


def test_report_that_cannot_be_written_says_why(tmp_path: Path, shards: tuple[Path, Path]) -> None:
    ran = sergas(tmp_path, "report", str(shards[0]), "-o", str(tmp_path))

    assert (ran.status, ran.err) == (2, f"sergas: {tmp_path} cannot be written: Is a directory\n")
