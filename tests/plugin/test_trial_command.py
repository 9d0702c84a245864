"""What of a run's command stands in that of its trials, decided from the files that are there."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_sergas.plugin.trial import Told
from pytest_sergas.plugin.trial_command import environment, is_written, redirected

pytestmark = pytest.mark.unit

BEGUN_S = 1_000_000.0


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, float], Path]:
    def write(name: str, at_s: float) -> Path:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("text")
        os.utime(path, (at_s, at_s))
        return path

    return write


@pytest.fixture
def folder(tmp_path: Path, write: Callable[[str, float], Path]) -> Path:
    """A folder with files from before the run and from within it."""
    for name in ("old.txt", "mixed/old", "olds/old"):
        write(name, BEGUN_S - 1)
    for name in ("new.txt", "mixed/new", "news/new", "k"):
        write(name, BEGUN_S)
    (tmp_path / "empty").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("name", "expected"),
    [("old.txt", False), ("new.txt", True), ("mixed", False), ("olds", False), ("news", True), ("empty", False)],
)
def test_written_is_what_the_run_has_written_alone(folder: Path, name: str, *, expected: bool) -> None:
    assert is_written(folder / name, BEGUN_S) is expected


@pytest.mark.parametrize(
    ("words", "places"),
    [
        pytest.param(["--report=new.txt"], {0: "--report="}, id="with =, relative"),
        pytest.param(["--report", "new.txt"], {1: ""}, id="a word of its own"),
        pytest.param(["-R", "new.txt"], {1: ""}, id="short option of a plugin"),
        pytest.param(["-k", "k"], {}, id="an expression"),
        pytest.param(["--report=old.txt"], {}, id="from before the run"),
        pytest.param(["--rootdir=news", "--cov", "news"], {}, id="options that read"),
        pytest.param(["-v", "tests"], {}, id="a test"),
        pytest.param(["--into=news"], {0: "--into="}, id="a folder"),
        pytest.param(["--flag=", "--no-value", "new.txt\0", "--" + "x" * 5000], {}, id="no path at all"),
    ],
)
def test_options_name_copies_of_what_the_run_has_written(
    folder: Path, words: list[str], places: dict[int, str]
) -> None:
    place = folder / "copies"

    changed = redirected(words, frozenset({"tests"}), [folder], place, BEGUN_S)

    assert [number for number, word in enumerate(changed) if word != words[number]] == list(places)
    for number, option in places.items():
        copy = Path(changed[number].removeprefix(option))
        assert changed[number].startswith(f"{option}{place}")
        assert list(copy.iterdir()) == [] if copy.is_dir() else copy.read_text() == "text"


def test_test_that_the_run_has_written_stays_a_test(folder: Path) -> None:
    words = ["-v", "--flag", str(folder / "new.txt")]

    assert redirected(words, frozenset(words[2:]), [folder], folder / "copies", BEGUN_S) == words


def test_environment_measures_nothing_and_is_otherwise_the_users(tmp_path: Path) -> None:
    given = {
        "A": "1",
        "PYTEST_ADDOPTS": "-v",
        "COVERAGE_PROCESS_CONFIG": "x",
        "COV_CORE_SOURCE": "y",
        "COVERAGE_RCFILE": "z",
    }

    assert environment(given, tmp_path) == {
        "A": "1",
        "COVERAGE_RCFILE": "z",
        "COVERAGE_FILE": str(tmp_path / "coverage"),
        "SERGAS_TRIAL": str(tmp_path),
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, Told({}, None)),
        ('["a", true]\n["b", false]\n["c", tr', Told({"a": True, "b": False}, None)),
        ('["a", true]\n[null, ""]\n', Told({"a": True}, "")),
        ('[null, "enough"]\n', Told({}, "enough")),
    ],
    ids=["nothing yet", "half a line", "all", "broken off"],
)
def test_what_a_trial_has_said_is_read_at_any_time(tmp_path: Path, text: str | None, expected: Told) -> None:
    if text is not None:
        (tmp_path / "results.jsonl").write_text(text)

    assert Told.read(tmp_path) == expected
