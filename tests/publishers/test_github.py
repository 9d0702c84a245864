"""GitHub's step summary and annotations, and that nothing in a message becomes a command."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sergas.core.causes import Frame, cause_of, grouped
from pytest_sergas.core.records import Outcome, Refusal, TestRecord
from pytest_sergas.publishers.github import SHOWN, GitHub, annotate, create
from pytest_sergas.publishers.markdown import LIMIT_BYTES, render
from tests.publishers.conftest import Run, attempt, context_for, forever_s, record, run_of, text_of

pytestmark = pytest.mark.unit

ACTIONS = {"GITHUB_ACTIONS": "true"}


def commands(*tests: TestRecord, root: Path = Path("/repo"), workspace: Path = Path("/repo")) -> list[str]:
    text = text_of(GitHub(root, workspace, None, 3).publish(run_of(*tests), forever_s))
    return text.split("\n") if text else []


def parse(command: str) -> tuple[str, dict[str, str], str]:
    """Read a command as the runner of GitHub Actions does."""
    match = re.fullmatch(r"::(\w+) ([^:]*)::(.*)", command)
    assert match is not None, command
    pairs = (entry.partition("=") for entry in match[2].split(","))
    properties = {name: _plain(value).replace("%3A", ":").replace("%2C", ",") for name, _, value in pairs}
    return (
        match[1],
        {name: value.replace("%25", "%") for name, value in properties.items()},
        _plain(match[3]).replace("%25", "%"),
    )


def _plain(text: str) -> str:
    return text.replace("%0D", "\r").replace("%0A", "\n")


@pytest.mark.parametrize("environ", [{}, {"CI": "true"}, {"GITHUB_ACTIONS": "false"}, {"GITHUB_STEP_SUMMARY": "x"}])
def test_elsewhere_there_is_no_publisher(tmp_path: Path, environ: dict[str, str]) -> None:
    assert create(context_for(tmp_path, environ)) is None


def test_places_come_from_the_variables(tmp_path: Path) -> None:
    environ = {**ACTIONS, "GITHUB_STEP_SUMMARY": "/run/summary", "GITHUB_WORKSPACE": "/repo"}

    assert create(context_for(tmp_path, environ)) == GitHub(tmp_path, Path("/repo"), Path("/run/summary"), 3)


def test_failed_test_is_an_error_at_its_line() -> None:
    (command,) = commands(record("tests/test_a.py::test_b[1]", attempt(Outcome.FAILED, message="assert 1 == 2")))

    assert command == "::error file=tests/test_a.py,line=7,title=test_b[1] (unit)%3A failed::assert 1 == 2"


def test_flaky_test_is_a_warning_with_what_failed_first() -> None:
    (command,) = commands(record("tests/test_a.py::test_b", attempt(Outcome.FAILED, message="reset"), attempt()))

    assert command == "::warning file=tests/test_a.py,line=7,title=test_b (unit)%3A flaky after 2 attempts::reset"


def test_passed_and_skipped_tests_are_not_annotated() -> None:
    assert commands(record("a"), record("b", attempt(Outcome.SKIPPED, message="later"))) == []


def test_test_that_failed_at_every_attempt_is_annotated_once() -> None:
    (command,) = commands(record("a", *[attempt(Outcome.FAILED, message=f"try {number}") for number in (1, 2, 3)]))

    assert parse(command)[2] == "try 3"


def test_test_without_a_line_has_none() -> None:
    (command,) = commands(record("tests/test_a.py", attempt(Outcome.ERROR, message="SyntaxError"), line=None))

    assert parse(command)[1] == {"file": "tests/test_a.py", "title": "tests/test_a.py (unit): error"}


@pytest.mark.parametrize(
    ("root", "workspace", "file"),
    [
        pytest.param("/repo", "/repo", "tests/test_a.py", id="root is the checkout"),
        pytest.param("/repo/services/api", "/repo", "services/api/tests/test_a.py", id="root below the checkout"),
        pytest.param("/repo", "/repo/services", None, id="test outside the checkout"),
        pytest.param("/elsewhere", "/repo", None, id="root outside the checkout"),
    ],
)
def test_file_is_relative_to_the_checkout(root: str, workspace: str, file: str | None) -> None:
    failed = record("tests/test_a.py::test_b", Outcome.FAILED)

    (command,) = commands(failed, root=Path(root), workspace=Path(workspace))

    assert parse(command)[1].get("file") == file


def test_checkout_behind_a_symbolic_link_is_found(tmp_path: Path) -> None:
    (tmp_path / "real" / "tests").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real")
    failed = record("tests/test_a.py::test_b", Outcome.FAILED)

    (command,) = commands(failed, root=tmp_path / "real", workspace=tmp_path / "link")

    assert parse(command)[1]["file"] == "tests/test_a.py"


@pytest.mark.parametrize(
    "message",
    [
        "::set-output name=x::y",
        "a\n::set-output name=x::y",
        "a\r::add-mask::y",
        "a\r\n##[add-path]x",
        "100%0A::set-env name=x::y",
        "a,b:c%3A,line=9::error::",
    ],
)
def test_message_stays_a_message(message: str) -> None:
    lines = commands(record("tests/a,b:c.py::test_x", attempt(Outcome.FAILED, message=message)))

    assert len(lines) == 1
    kind, properties, shown = parse(lines[0])
    assert kind == "error"
    assert properties == {"file": "tests/a,b:c.py", "line": "7", "title": "test_x (unit): failed"}
    assert shown == message.replace("\r\n", "\n").replace("\r", "\n")


@given(st.text(st.characters()), st.text(st.characters()))
def test_whatever_a_name_and_a_message_hold_a_command_is_one_line(name: str, message: str) -> None:
    lines = commands(record(f"tests/test_a.py::{name}", attempt(Outcome.FAILED, message=message)))

    assert len(lines) == 1
    assert not re.search(r"[\r\n]", lines[0])
    assert parse(lines[0])[0] == "error"
    assert set(parse(lines[0])[1]) == {"file", "line", "title"}


@pytest.mark.parametrize(("failed", "shown"), [(SHOWN, SHOWN), (SHOWN + 1, SHOWN - 1)])
def test_no_more_are_annotated_than_are_shown(failed: int, shown: int) -> None:
    lines = commands(*(record(f"tests/test_a.py::t{index}", Outcome.FAILED) for index in range(failed)))

    assert len(lines) == SHOWN
    assert len([line for line in lines if "file=" in line]) == shown


def test_last_annotation_says_how_many_more_there_are() -> None:
    lines = commands(*(record(f"tests/test_a.py::t{index}", Outcome.FAILED) for index in range(13)))

    assert lines[-1] == "::error title=4 more tests failed::4 more tests failed; the step summary and the log have them"


def test_flaky_tests_have_a_limit_of_their_own() -> None:
    tests = [record(f"tests/test_a.py::t{index}", Outcome.FAILED, Outcome.PASSED) for index in range(12)]

    lines = commands(*tests, record("tests/test_a.py::bad", Outcome.FAILED))

    assert len(lines) == 1 + SHOWN
    assert lines[-1] == (
        "::warning title=3 more tests were flaky::3 more tests were flaky; the step summary and the log have them"
    )


def test_failures_that_another_plugin_annotates_are_left_to_it() -> None:
    run = run_of(record("a", Outcome.FAILED), record("b", Outcome.FAILED, Outcome.PASSED))

    text = text_of(GitHub(Path("/repo"), Path("/repo"), None, 3, others_annotate=True).publish(run, forever_s))

    assert [parse(line)[0] for line in text.split("\n")] == ["warning"]


def test_summary_is_appended_to_what_others_wrote(tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    summary.write_bytes("| a table é |".encode())
    run = run_of(record("a"))

    GitHub(tmp_path, tmp_path, summary, 3).publish(run, forever_s)

    assert summary.read_text("utf-8") == "| a table é |\n\n" + render(run, slowest=3)


def test_summary_leaves_the_whole_file_within_the_limit(tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    summary.write_bytes(b"x" * (LIMIT_BYTES - 50_000))
    tests = [record(f"t{index}", attempt(Outcome.FAILED, message="m" * 2_000)) for index in range(50)]

    GitHub(tmp_path, tmp_path, summary, 3).publish(run_of(*tests), forever_s)

    assert LIMIT_BYTES - 5_000 < summary.stat().st_size <= LIMIT_BYTES


def test_full_summary_is_said_beside_the_annotations(tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    summary.write_bytes(b"x" * (LIMIT_BYTES - 1_002))

    lines = text_of(
        GitHub(tmp_path, tmp_path, summary, 3).publish(run_of(record("a", Outcome.FAILED)), forever_s)
    ).split("\n")

    assert len(lines) == 2
    assert lines[1] == "::warning title=pytest-sergas::the step summary has no room: 1000 of 1048576 bytes are left"
    assert summary.stat().st_size == LIMIT_BYTES - 1_002


def test_summary_that_cannot_be_written_is_said_beside_the_annotations(tmp_path: Path) -> None:
    text = text_of(GitHub(tmp_path, tmp_path, tmp_path, 3).publish(run_of(record("a", Outcome.FAILED)), forever_s))

    assert text.split("\n")[1:] == ["::warning title=pytest-sergas::the step summary was not written: Is a directory"]


SUITE = """
    import pytest

    tries = []

    @pytest.mark.unit
    def test_bad(): assert 0, "a\\n::set-output name=x::y"

    @pytest.mark.unit(retries=2)
    def test_worse(): assert 0, "always"

    @pytest.mark.unit(retries=1)
    def test_shaky():
        tries.append(1)
        assert len(tries) == 2, "once"
"""


@pytest.mark.integration
@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param((), id="plain"),
        pytest.param(("-n", "2"), id="workers"),
        pytest.param(("-q",), id="quiet"),
        pytest.param(
            ("-p", "no:terminal"),
            id="no terminal",
            marks=pytest.mark.skipif(
                pytest.version_tuple < (9, 1), reason="without a terminal pytest 9.0 leaves out the first message"
            ),
        ),
        pytest.param(("--no-summary",), id="no summary"),
    ],
)
def test_each_failure_is_annotated_once_at_the_beginning_of_a_line(
    pytester: pytest.Pytester, run: Run, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    summary = pytester.path / "summary.md"
    pytester.makepyfile(**{"api/test_shop": SUITE})
    pytester.makefile(".ini", **{"api/pytest": "[pytest]"})
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(pytester.path))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))

    ran = run(*arguments, "api", record=False)

    found = [line for line in ran.result.outlines if line.startswith("::")]
    assert sorted((parse(line)[0], parse(line)[1]["file"], parse(line)[2].splitlines()[0]) for line in found) == [
        ("error", "api/test_shop.py", "AssertionError: a"),
        ("error", "api/test_shop.py", "AssertionError: always"),
        ("warning", "api/test_shop.py", "AssertionError: once"),
    ]
    assert summary.read_text("utf-8").startswith("\n\n## 2 of 3 tests failed, 1 flaky\n")


def test_reason_for_which_a_run_fails_is_an_annotation_of_its_own(tmp_path: Path) -> None:
    publisher = GitHub(tmp_path, tmp_path, None, 3)

    text = text_of(publisher.publish(run_of(record("a"), refused=(Refusal("unit", "unit: too flaky"),)), forever_s))

    assert text == "::error title=the run fails::unit: too flaky"


def test_failures_of_one_cause_are_one_annotation_that_counts_the_others() -> None:
    cause = cause_of("setup", "ConnectionError: no route", Frame("tests/conftest.py", 5, "db"))
    broken = attempt(Outcome.ERROR, message="ConnectionError: no route", cause=cause)
    tests = [record(f"a.py::t{number}", broken) for number in range(30)]

    lines = annotate(
        "error", "failed", grouped([*tests, record("a.py::b", Outcome.FAILED)]), Path("/repo"), Path("/repo")
    )

    assert len(lines) == 2
    assert lines[0].endswith("::ConnectionError: no route%0A%0A29 more tests fail with this cause")
    assert "title=b (unit)%3A failed" in lines[1]
