"""Durations in pytest's cache and in a shared file: who writes them, when, and what happens to a broken file."""

from __future__ import annotations

import fcntl
import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from pytest_sergas.core.durations import Duration, from_json, to_json
from pytest_sergas.plugin.durations import KeptDurations
from tests.plugin.conftest import Run
from tests.publishers.conftest import attempt, record

pytestmark = pytest.mark.integration

WITH_CACHE = ("-p", "cacheprovider")
CACHED = Path(".pytest_cache", "d", "sergas", "durations.json")
TESTS = """
    import pytest

    @pytest.mark.unit
    def test_a():
        pass

    @pytest.mark.unit
    def test_b():
        pass
"""


def names(path: Path) -> list[str]:
    """Return the tests in a file of durations."""
    return sorted(node_id.partition("::")[2] for node_id in from_json(path.read_bytes()))


class Config:
    """As much of pytest's configuration as the durations look at."""

    def __init__(self, root: Path, **options: Any) -> None:
        self.rootpath = root
        self.args = options.pop("args", [str(root)])
        self.options = options
        self.invocation_params = pytest.Config.InvocationParams(args=(), plugins=None, dir=root)

    def getoption(self, name: str, default: object = None) -> Any:
        return self.options.get(name, default)


def kept(root: Path, **options: Any) -> KeptDurations:
    """Return the durations of a run that names ``shared.json`` on its command line."""
    from pytest_sergas.config import load

    loaded = load(root, environ={}, options={"durations": ("--sergas-durations", "shared.json")})
    return KeptDurations(Config(root, **options), loaded)  # type: ignore[arg-type]  # what it looks at is there


def test_run_leaves_durations_in_the_cache(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(test_a=TESTS)

    run(*WITH_CACHE, record=False)

    assert names(pytester.path / CACHED) == ["test_a", "test_b"]


def test_controller_leaves_durations_of_its_workers(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(test_a=TESTS)

    run(*WITH_CACHE, "-n2", record=False)

    assert names(pytester.path / CACHED) == ["test_a", "test_b"]


def test_recorded_durations_order_the_next_parallel_run(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(test_a=TESTS)
    run(*WITH_CACHE, record=False)

    assert "shared out by 2 recorded durations" in run(*WITH_CACHE, "-n2", "-v").text


def test_without_cache_nothing_is_written(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(test_a=TESTS)

    run(record=False)

    assert not (pytester.path / ".pytest_cache").exists()


def test_run_without_tests_writes_no_durations(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(test_a=TESTS)

    run(*WITH_CACHE, "-k", "nothing", "--sergas-durations", "shared.json", record=False)

    assert not (pytester.path / CACHED).exists()
    assert not (pytester.path / "shared.json").exists()


def test_test_that_failed_leaves_no_duration(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(test_a="def test_good(): pass\ndef test_bad(): assert False")

    run("--sergas-durations", "shared.json")

    assert names(pytester.path / "shared.json") == ["test_good"]


def test_file_of_the_command_line_is_updated(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(test_a=TESTS)
    shared = pytester.path / "shared.json"
    shared.write_bytes(to_json({"test_a.py::test_a": Duration(1000.0, 1.0)}))

    run("--sergas-durations", shared.name)

    assert from_json(shared.read_bytes())["test_a.py::test_a"].total_s == pytest.approx(700, abs=1)
    assert names(shared) == ["test_a", "test_b"]


def test_file_of_the_configuration_is_only_read(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(test_a=TESTS)
    (pytester.path / "sergas.toml").write_text('durations = "shared.json"\n')
    before = to_json({"test_a.py::test_a": Duration(1000.0, 1.0)})
    (pytester.path / "shared.json").write_bytes(before)

    ran = run("-n2", "-v")

    assert "shared out by 1 recorded duration" in ran.text
    assert (pytester.path / "shared.json").read_bytes() == before


def test_run_of_a_shard_does_not_write_the_file(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(test_a=TESTS)

    run("--sergas-durations", "shared.json", "--sergas-shard", "1/2")

    assert not (pytester.path / "shared.json").exists()


def test_truncated_file_starts_anew_and_says_so(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(test_a=TESTS)
    shared = pytester.path / "shared.json"
    shared.write_bytes(to_json({"test_a.py::test_a": Duration(1000.0, 1.0)})[:-10])

    ran = run("--sergas-durations", shared.name)

    assert ran.document is not None
    assert ran.document["results"]["extra"]["notes"] == [
        f"durations: {shared} is not whole JSON (JSONDecodeError); they start anew"
    ]
    assert names(shared) == ["test_a", "test_b"]


def test_file_that_cannot_be_written_is_a_fault_before_the_run(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(test_a=TESTS)

    ran = run("--sergas-durations", ".", record=False)

    assert ran.result.ret == pytest.ExitCode.USAGE_ERROR
    assert (
        f"durations (command line: --sergas-durations) = {str(pytester.path)!r}: is a directory; name a file in it"
        in ran.result.stderr.str()
    )


def test_parallel_writers_lose_nothing(tmp_path: Path) -> None:
    def write(number: int) -> None:
        kept(tmp_path).record([record(f"a.py::test_{number}")], complete=True)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(from_json((tmp_path / "shared.json").read_bytes())) == 20
    assert [path.name for path in tmp_path.iterdir()] == ["shared.json"]


def test_writer_that_never_lets_go_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        kept(tmp_path).record([record("a.py::test_a")], complete=True)
    finally:
        os.close(descriptor)

    assert names(tmp_path / "shared.json") == ["test_a"]


@pytest.mark.parametrize(
    ("options", "complete", "missing"),
    [
        pytest.param({}, True, 1, id="everything ran"),
        pytest.param({}, False, 0, id="stopped"),
        pytest.param({"keyword": "b"}, True, 0, id="-k"),
        pytest.param({"markexpr": "unit"}, True, 0, id="-m"),
        pytest.param({"lf": True}, True, 0, id="--lf"),
    ],
)
def test_test_counts_as_missing_only_where_it_would_have_run(
    tmp_path: Path,
    options: dict[str, object],
    complete: bool,  # noqa: FBT001
    missing: int,
) -> None:
    kept(tmp_path).record([record("a.py::test_a"), record("a.py::test_b")], complete=True)

    kept(tmp_path, **options).record([record("a.py::test_b")], complete=complete)

    assert from_json((tmp_path / "shared.json").read_bytes())["a.py::test_a"].missing == missing


@pytest.mark.parametrize(
    ("arguments", "missing"),
    [
        pytest.param(["tests"], 1, id="its directory"),
        pytest.param(["tests/test_a.py"], 1, id="its file"),
        pytest.param(["other"], 0, id="another directory"),
        pytest.param(["tests/test"], 0, id="the beginning of its file's name"),
        pytest.param(["tests/test_a.py::test_b"], 0, id="one test"),
    ],
)
def test_test_counts_as_missing_only_where_it_was_asked_for(tmp_path: Path, arguments: list[str], missing: int) -> None:
    kept(tmp_path).record([record("tests/test_a.py::test_a")], complete=True)

    kept(tmp_path, args=arguments).record([record("tests/test_a.py::test_b", attempt())], complete=True)

    assert from_json((tmp_path / "shared.json").read_bytes())["tests/test_a.py::test_a"].missing == missing
    assert json.loads((tmp_path / "shared.json").read_bytes())["version"] == 1
