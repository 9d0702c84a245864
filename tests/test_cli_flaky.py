"""``sergas flaky``: the flakiest tests, and the runs that it knows them from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_sergas.cli import main
from pytest_sergas.core.results import from_json, to_json
from tests.plugin.conftest import OURS_ALONE

pytestmark = pytest.mark.integration

KNOWN = {
    "a.py::often": "kp" * 25,
    "a.py::once": "pkp",
    "a.py::between": "pfp" + "p" * 47,
    "a.py::steady": "p" * 50,
    "a.py::broken": "ffff",
}


@pytest.fixture
def results(tmp_path: Path) -> str:
    path = tmp_path / "results.json"
    path.write_bytes(to_json(KNOWN))
    return str(path)


def test_worst_for_sure_come_first_with_rate_and_interval(results: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["flaky", "--results", results]) == 0

    assert capsys.readouterr().out == (
        "3 of 5 tests are flaky\n"
        "  rate   95 % interval   runs  test\n"
        " 50.0%   36.6% - 63.4%  25/50  a.py::often\n"
        " 33.3%    6.1% - 79.2%    1/3  a.py::once\n"
        "  2.0%    0.4% - 10.5%   1/50  a.py::between\n"
    )


def test_list_ends_where_it_is_told_and_says_so(results: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["flaky", "--results", results, "--most", "1"]) == 0

    assert capsys.readouterr().out.splitlines()[2:] == [" 50.0%   36.6% - 63.4%  25/50  a.py::often", "and 2 more"]


def test_json_has_the_figures(results: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["flaky", "--results", results, "--most", "1", "--json"]) == 0

    assert json.loads(capsys.readouterr().out) == [
        {"test": "a.py::often", "rate": 0.5, "low": 0.3664, "high": 0.6336, "troubled": 25, "runs": 50}
    ]


def test_file_that_is_none_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "results.json"
    path.write_text("{")

    assert main(["flaky", "--results", str(path)]) == 2

    assert capsys.readouterr().err == f"sergas: results: {path} is not whole JSON (JSONDecodeError); they start anew\n"


@pytest.mark.parametrize("number", ["0", "-1", "x"])
def test_number_that_is_none_is_refused(number: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["flaky", f"--most={number}"])

    assert f"{number!r} cannot be used; allowed: a whole number from 1 to 100000" in capsys.readouterr().err


def test_runs_are_known_from_the_cache(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    pytester.makeini("[pytest]")
    pytester.makepyfile(
        test_it="""
        import pathlib
        import pytest

        @pytest.mark.unit
        def test_one():
            path = pathlib.Path("times")
            path.write_text((path.read_text() if path.exists() else "") + ".")
            assert len(path.read_text()) != 2
        """
    )
    for arguments in ((), ("-n", "1"), ()):
        pytester.runpytest_subprocess(*OURS_ALONE, *arguments)

    assert main(["flaky"]) == 0

    kept = pytester.path / ".pytest_cache" / "d" / "sergas" / "results.json"
    assert from_json(kept.read_bytes()) == {"test_it.py::test_one": "pfp"}
    assert " 33.3%    6.1% - 79.2%    1/3  test_it.py::test_one\n" in capsys.readouterr().out


def test_nothing_is_said_where_nothing_has_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    monkeypatch.chdir(tmp_path)

    assert main(["flaky"]) == 0

    path = tmp_path / ".pytest_cache" / "d" / "sergas" / "results.json"
    assert capsys.readouterr().out.endswith(
        f"{path}: nothing yet; runs that have types or a configuration fill it, in pytest's cache\n"
    )


def test_cache_that_is_switched_off_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -p no:cacheprovider\n")
    monkeypatch.chdir(tmp_path)

    assert main(["flaky"]) == 2

    assert capsys.readouterr().err == ("sergas: pytest's cache is switched off here; name the file with --results\n")
