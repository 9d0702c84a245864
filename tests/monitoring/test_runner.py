"""pytest in a process of its own: what it is told, what it tells, and that nothing of it is left."""

from __future__ import annotations

import asyncio
import os
import textwrap
from pathlib import Path

import psutil
import pytest

from pytest_sergas import ConfigurationError, TestRunner, TestStatus, TestSuite, TestType
from pytest_sergas.monitoring.runner import RunError
from pytest_sergas.monitoring.suites import Progress

pytestmark = pytest.mark.integration

QUICK = ("-p", "no:cacheprovider", "-p", "no:schemathesis", "-p", "no:hypothesispytest", "-p", "no:anyio")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "pytest.toml").write_text("[pytest]\n", encoding="utf-8")
    return tmp_path


def write(project: Path, text: str, name: str = "test_shop.py") -> None:
    file = project / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(textwrap.dedent(text), encoding="utf-8")


def runner(project: Path, *arguments: str, max_workers: int = 1) -> TestRunner:
    return TestRunner(max_workers, root=project, arguments=(*QUICK, *arguments))


MIXED = """
    import pytest

    @pytest.mark.unit
    def test_good(): pass

    @pytest.mark.unit
    def test_bad(): assert 1 == 2, "no"

    @pytest.mark.unit
    def test_left_out(): pytest.skip("not today")

    @pytest.mark.smoke
    def test_other(): pass
"""


async def test_suite_runs_the_tests_of_its_type_and_tells_of_each(project: Path) -> None:
    write(project, MIXED)
    told: list[Progress] = []

    results = await runner(project).run_suite(TestType.UNIT, told.append)

    assert {test.name: test.outcome for test in results} == {
        "test_good": TestStatus.PASSED,
        "test_bad": TestStatus.FAILED,
        "test_left_out": TestStatus.SKIPPED,
    }
    assert not results.succeeded
    assert [(one.node_id.rpartition("::")[2], one.outcome, one.done, one.total) for one in told] == [
        ("", None, 0, 3),
        ("test_good", TestStatus.PASSED, 1, 3),
        ("test_bad", TestStatus.FAILED, 2, 3),
        ("test_left_out", TestStatus.SKIPPED, 3, 3),
    ]


async def test_progress_is_that_of_the_last_attempts_of_all_workers(project: Path) -> None:
    write(
        project,
        """
        import pathlib
        import pytest

        pytestmark = pytest.mark.unit

        @pytest.mark.parametrize("number", range(5))
        def test_good(number): pass

        def test_second_time():
            tried = pathlib.Path("tried")
            first = not tried.exists()
            tried.touch()
            assert not first

        def test_never(): assert 1 == 2
        """,
    )
    told: list[Progress] = []

    await runner(project, "--reruns=1", max_workers=2).run_suite(TestType.UNIT, told.append)

    assert told[0] == Progress("", None, 0, 7)
    assert [(one.done, one.total) for one in told[1:]] == [(number, 7) for number in range(1, 8)]
    names = [f"test_good[{number}]" for number in range(5)]
    assert {one.node_id.rpartition("::")[2]: one.outcome for one in told[1:]} == {
        **dict.fromkeys(names, TestStatus.PASSED),
        "test_second_time": TestStatus.PASSED,
        "test_never": TestStatus.FAILED,
    }


async def test_suite_that_is_not_parallel_has_no_workers(project: Path) -> None:
    write(
        project,
        "import os, pytest\n\n@pytest.mark.unit\ndef test_pid(): assert 'PYTEST_XDIST_WORKER' not in os.environ",
    )
    run = runner(project, max_workers=2)
    run.register_suite(TestSuite("Unit Tests", TestType.UNIT, parallel=False, max_workers=2))

    results = await run.run_suite(TestType.UNIT)

    assert [test.outcome for test in results] == [TestStatus.PASSED]


async def test_settings_of_the_suite_reach_pytest_and_coverage_comes_back(project: Path) -> None:
    write(project, "def used():\n    return 1\n\ndef unused():\n    return 2\n", "shop.py")
    write(
        project,
        """
        import os, time
        import pytest
        import shop

        pytestmark = pytest.mark.unit
        SEEN = []

        @pytest.mark.parametrize("number", range(4))
        def test_workers(number):
            assert os.environ["PYTEST_XDIST_WORKER_COUNT"] == "2"
            assert shop.used() == 1

        def test_retried():
            SEEN.append(1)
            assert len(SEEN) == 3

        def test_endless(): time.sleep(600)
        """,
        "checks/test_shop.py",
    )
    write(project, "def test_elsewhere(): assert False", "test_elsewhere.py")
    run = TestRunner(8, root=project, arguments=(*QUICK, "-o", "pythonpath=."))
    run.register_suite(
        TestSuite("Unit Tests", TestType.UNIT, timeout=3, max_workers=2, retries=2, paths=["checks"], coverage=["shop"])
    )

    results = await run.run_suite("unit")

    outcomes = {test.name: test.outcome for test in results}
    assert outcomes["test_retried"] is TestStatus.FLAKY
    assert outcomes["test_endless"] is TestStatus.TIMEOUT
    assert [outcomes[f"test_workers[{number}]"] for number in range(4)] == [TestStatus.PASSED] * 4
    assert len(outcomes) == 6
    assert results.run.workers == 2
    assert results.coverage_percent == 75.0


async def test_results_survive_the_death_of_pytest(project: Path) -> None:
    write(
        project,
        """
        import os, signal
        import pytest

        pytestmark = pytest.mark.load

        def test_a_good(): pass
        def test_b_deadly(): os.kill(os.getpid(), signal.SIGKILL)
        def test_c_never(): pass
        """,
    )

    results = await runner(project).run_suite(TestType.LOAD)

    assert {test.name: (test.type, test.outcome) for test in results} == {
        "test_a_good": ("load", TestStatus.PASSED),
        "test_b_deadly": ("load", TestStatus.CRASHED),
    }
    assert results.run.stopped == results[1].last.message == "pytest died: signal 9 (SIGKILL)"
    assert results.run.collected == 3
    assert results.coverage_percent is None


@pytest.mark.parametrize(
    ("workers", "percent"),
    [
        pytest.param(1, None, id="the only process, which takes its coverage with it"),
        pytest.param(2, 75.0, id="a worker, the others of which have theirs"),
    ],
)
async def test_coverage_of_processes_that_live_on_survives_a_death(
    project: Path, workers: int, percent: float | None
) -> None:
    write(project, "def used():\n    return 1\n\ndef unused():\n    return 2\n", "shop.py")
    write(
        project,
        """
        import os, pathlib, signal
        import pytest
        import shop

        pytestmark = pytest.mark.unit

        @pytest.mark.parametrize("number", range(8))
        @pytest.mark.timeout(60)
        def test_good(number):
            assert shop.used() == 1
            pathlib.Path("ran-" + os.environ.get("PYTEST_XDIST_WORKER", "alone")).touch()
            while len([*pathlib.Path().glob("ran-*")]) < int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")):
                pass  # until every worker has run one

        def test_last_and_deadly(): os.kill(os.getpid(), signal.SIGKILL)
        """,
    )
    run = runner(project, "-o", "pythonpath=.", max_workers=workers)
    run.register_suite(TestSuite("Unit Tests", TestType.UNIT, coverage=["shop"]))

    results = await run.run_suite(TestType.UNIT)

    assert {test.name: test.outcome for test in results} == {
        **{f"test_good[{number}]": TestStatus.PASSED for number in range(8)},
        "test_last_and_deadly": TestStatus.CRASHED,
    }
    assert results.coverage_percent == percent


@pytest.mark.parametrize("workers", [1, 2])
async def test_cancelling_leaves_no_process_behind(project: Path, workers: int) -> None:
    write(
        project,
        """
        import os, pathlib, signal, subprocess, sys, time
        import pytest

        @pytest.mark.stress
        @pytest.mark.parametrize("number", [0, 1])
        def test_endless(number):
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
            pathlib.Path("pids").open("a").write(f"{os.getpid()} {os.getppid()} {child.pid}\\n")
            time.sleep(600)
        """,
    )
    running = asyncio.create_task(runner(project, max_workers=workers).run_suite(TestType.STRESS))
    pids = project / "pids"
    async with asyncio.timeout(60):
        while not pids.exists() or not pids.read_text("utf-8").endswith("\n"):  # noqa: ASYNC110  another process's
            await asyncio.sleep(0.05)

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    own = os.getpid()
    started = {int(word) for word in pids.read_text("utf-8").split()} - {own}
    assert started
    assert [pid for pid in started if psutil.pid_exists(pid) and _lives(pid)] == []


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def test_callback_that_raises_ends_the_run_and_is_heard(project: Path) -> None:
    write(project, MIXED)

    def refuse(progress: Progress) -> None:
        raise LookupError(progress.node_id or "begin")

    with pytest.raises(LookupError, match="begin"):
        await runner(project).run_suite(TestType.UNIT, refuse)


async def test_pytest_that_cannot_begin_is_an_error_with_its_text(project: Path) -> None:
    write(project, MIXED)

    with pytest.raises(RunError) as refused:
        await runner(project, "--no-such-option").run_suite(TestType.UNIT)

    assert str(refused.value).startswith("pytest could not begin (exit status 4):\n")
    assert "unrecognized arguments: --no-such-option" in str(refused.value)


async def test_comprehensive_tests_are_all_suites_with_the_documented_summary(project: Path) -> None:
    write(project, MIXED)
    run = runner(project)
    run.register_suite(TestSuite("Unit Tests", TestType.UNIT))
    run.register_suite(TestSuite("Smoke Tests", TestType.SMOKE))

    found = await run.run_comprehensive_tests()

    figures = found["summary"]
    duration = figures.pop("duration")
    assert duration > 0
    assert figures == {
        "total": 4,
        "passed": 2,
        "failed": 1,
        "skipped": 1,
        "flaky": 0,
        "success_rate": pytest.approx(200 / 3),
        "by_status": {"passed": 2, "failed": 1, "skipped": 1},
        "coverage": None,
        "stopped": [],
    }
    assert {name: kind["total"] for name, kind in found["by_type"].items()} == {"unit": 3, "smoke": 1}
    assert {name: len(results) for name, results in found["results"].items()} == {"Unit Tests": 3, "Smoke Tests": 1}


async def test_without_suites_everything_runs_once(project: Path) -> None:
    write(project, MIXED)

    found = await runner(project).run_comprehensive_tests()

    assert {name: kind["total"] for name, kind in found["by_type"].items()} == {"unit": 3, "smoke": 1}


async def test_without_tests_the_success_rate_is_a_number(project: Path) -> None:
    found = await runner(project).run_comprehensive_tests()

    assert f"{found['summary']['success_rate']:.1f}%" == "0.0%"
    assert found["summary"]["total"] == 0


async def test_renamed_type_is_found_by_its_marker_and_a_disabled_one_refused(project: Path) -> None:
    write(project, '[types.unit]\nmarker = "api"\n[types]\nload = false\n', "sergas.toml")
    write(project, "import pytest\n\n@pytest.mark.api\ndef test_one(): pass\n")

    assert [test.type for test in await runner(project).run_suite("unit")] == ["unit"]
    with pytest.raises(ConfigurationError) as refused:
        await runner(project).run_suite("load")
    assert refused.value.faults == ("types.load = false: the type is disabled here, so that it has no tests to run",)


def test_second_suite_of_a_type_is_refused(project: Path) -> None:
    run = runner(project)
    run.register_suite(TestSuite("One", TestType.UNIT))

    with pytest.raises(ConfigurationError) as refused:
        run.register_suite(TestSuite("Two", TestType.UNIT))

    assert refused.value.faults == (
        "TestSuite('Two'): there is a suite of the type 'unit' already, 'One'; give that one more paths",
    )


def test_second_suite_of_a_name_is_refused(project: Path) -> None:
    run = runner(project)
    run.register_suite(TestSuite("Tests", TestType.UNIT))

    with pytest.raises(ConfigurationError) as refused:
        run.register_suite(TestSuite("Tests", TestType.SMOKE))

    assert refused.value.faults == (
        "TestSuite('Tests'): there is a suite of this name already, of the type 'unit'; name one otherwise",
    )


def test_path_that_does_not_exist_is_refused_with_the_nearest(project: Path) -> None:
    (project / "tests").mkdir()

    with pytest.raises(ConfigurationError) as refused:
        runner(project).register_suite(TestSuite("One", TestType.UNIT, paths=["test", "tests"]))

    assert refused.value.faults == (
        f"TestSuite('One'): paths = 'test': does not exist below {project.name}; did you mean 'tests'?",
    )


def test_every_fault_of_a_suite_is_told_at_once() -> None:
    with pytest.raises(ConfigurationError) as refused:
        TestSuite("One", "unti", timeout=-1, max_workers=0, retries=1.5)  # type: ignore[arg-type]  # what is refused

    assert [fault.partition(": allowed")[0] for fault in refused.value.faults] == [
        "TestSuite('One'): test_type = 'unti'",
        "TestSuite('One'): timeout = -1",
        "TestSuite('One'): max_workers = 0",
        "TestSuite('One'): retries = 1.5",
    ]


def test_runner_can_be_used_from_a_thread_beside_a_running_loop(project: Path) -> None:
    write(project, MIXED)

    async def in_a_thread() -> int:
        return await asyncio.to_thread(lambda: len(asyncio.run(runner(project).run_suite("smoke"))))

    assert asyncio.run(in_a_thread()) == 1


def test_subclasses_of_our_classes_are_collected_and_the_classes_are_not() -> None:
    class TestMine(TestRunner): ...

    class TestOther(TestSuite): ...

    assert (TestRunner.__test__, TestSuite.__test__, TestMine.__test__, TestOther.__test__) == (
        False,
        False,
        True,
        True,
    )
