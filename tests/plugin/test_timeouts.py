"""Every attempt and every phase has its timeout, whoever set it and whatever failed before."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.plugin.conftest import Run

pytestmark = pytest.mark.integration

# A test that hangs or fails at a given phase of a given attempt: (attempt, phase) → what happens there.
SCENARIO = """
import time, pytest
PLAN = {plan!r}
attempt = [0]

def act(phase):
    what = PLAN.get((attempt[0], phase))
    if what == "hang":
        time.sleep(20)
    elif what == "fail":
        assert False, "as planned"
    elif what is not None:
        time.sleep(what)

@pytest.fixture
def resource():
    attempt[0] += 1
    act("setup")
    yield
    act("teardown")

{mark}
def test_one(resource):
    act("call")
"""
TYPED = "@pytest.mark.unit(timeout=0.6, retries=1)"
ENGINE = "@pytest.mark.timeout(0.6)\n@pytest.mark.flaky(reruns=1)"

CASES = [
    pytest.param({(1, "setup"): "hang"}, ["timeout", "passed"], id="hang in set-up"),
    pytest.param({(1, "call"): "hang"}, ["timeout", "passed"], id="hang in call"),
    pytest.param({(1, "teardown"): "hang"}, ["timeout", "passed"], id="hang in teardown"),
    pytest.param({(1, "call"): "fail", (2, "setup"): "hang"}, ["failed", "timeout"], id="fail, then hang in set-up"),
    pytest.param({(1, "call"): "fail", (2, "call"): "hang"}, ["failed", "timeout"], id="fail, then hang"),
    pytest.param(
        {(1, "call"): "fail", (2, "teardown"): "hang"}, ["failed", "timeout"], id="fail, then hang in teardown"
    ),
    pytest.param({(1, "call"): "fail", (1, "teardown"): "hang"}, ["timeout", "passed"], id="teardown of a failed call"),
    pytest.param(
        {(1, "call"): 0.4, (1, "teardown"): "fail", (2, "call"): 0.4}, ["error", "passed"], id="slow but fine"
    ),
]


@pytest.mark.parametrize(("plan", "expected"), CASES)
@pytest.mark.parametrize("mark", [pytest.param(TYPED, id="policy"), pytest.param(ENGINE, id="engine")])
def test_each_attempt_and_phase_is_guarded(
    pytester: pytest.Pytester, run: Run, plan: dict[object, object], expected: list[str], mark: str
) -> None:
    pytester.makepyfile(SCENARIO.format(plan=plan, mark=mark))

    test = run().tests["test_one"]

    attempts = [attempt["extra"]["rawStatus"] for attempt in test["retryAttempts"]]
    last = "passed" if test["rawStatus"] == "flaky" else test["rawStatus"]
    assert [*attempts, last] == expected


def test_delay_longer_than_the_timeout_is_not_counted(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        SCENARIO.format(plan={(1, "call"): "fail"}, mark="@pytest.mark.unit(timeout=0.5, retries=1, retry_delay=1)")
    )

    assert run().outcomes == {"test_one": "flaky"}


def test_teardown_after_a_failure_is_guarded_without_retries(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(SCENARIO.format(plan={(1, "call"): "fail", (1, "teardown"): "hang"}, mark=""))

    test = run("--timeout=0.6").tests["test_one"]

    assert test["rawStatus"] == "timeout"
    assert test["extra"]["teardownSeconds"] < 10


def test_failed_subtest_does_not_end_the_timeout(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        """
        import time, pytest

        @pytest.mark.unit(timeout=0.6)
        def test_one(subtests):
            with subtests.test("first"):
                assert False
            time.sleep(20)
        """
    )

    assert run().outcomes == {"test_one": "timeout"}


def test_function_only_timeout_does_not_count_fixtures(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(SCENARIO.format(plan={(1, "setup"): 0.8}, mark="@pytest.mark.unit(timeout=0.5)"))

    assert run("-o", "timeout_func_only=true").outcomes == {"test_one": "passed"}


def test_function_only_timeout_ends_the_call(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(SCENARIO.format(plan={(1, "call"): "hang"}, mark="@pytest.mark.unit(timeout=0.5)"))

    assert run("-o", "timeout_func_only=true").outcomes == {"test_one": "timeout"}


def test_coroutine_that_hangs_is_ended_in_every_attempt(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        """
        import asyncio, pytest

        @pytest.mark.unit(timeout=0.5, retries=1)
        async def test_one():
            await asyncio.sleep(20)
        """
    )

    test = run("-o", "asyncio_mode=auto").tests["test_one"]

    assert test["rawStatus"] == "timeout"
    assert [attempt["extra"]["rawStatus"] for attempt in test["retryAttempts"]] == ["timeout"]


def test_thread_method_ends_the_second_attempt_too_where_a_worker_can_be_replaced(
    pytester: pytest.Pytester, run: Run
) -> None:
    pytester.makepyfile(
        SCENARIO.format(plan={(1, "call"): "fail", (2, "call"): "hang"}, mark=TYPED) + "\ndef test_other(): pass\n"
    )

    ran = run("-n1", "-o", "timeout_method=thread")

    # The replacement starts the module anew, so its first attempt fails as the first one did.
    attempts = [attempt["extra"]["rawStatus"] for attempt in ran.tests["test_one"]["retryAttempts"]]
    assert attempts == ["failed", "timeout"]
    assert ran.outcomes == {"test_one": "failed", "test_other": "passed"}


def test_timer_of_a_conftest_among_the_tests_is_used(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makefile(".toml", sergas="timeout = 30")
    pytester.mkpydir("below")
    Path(pytester.path, "below", "conftest.py").write_text(
        "def pytest_timeout_set_timer(item, settings):\n    item.told = settings.timeout\n    return True"
    )
    Path(pytester.path, "below", "test_it.py").write_text(
        "import pytest\n@pytest.mark.unit\ndef test_one(request): assert request.node.told == 30"
    )

    assert run().outcomes == {"test_one": "passed"}


@pytest.mark.parametrize(
    ("arguments", "ini", "marks", "expected"),
    [
        pytest.param((), "", "@pytest.mark.unit(timeout=0.5)", "timeout", id="marker"),
        pytest.param(
            ("--timeout=30",), "", "@pytest.mark.unit(timeout=0.5)", "timeout", id="marker beats command line"
        ),
        pytest.param(
            ("--timeout=0.5",), "[types.unit]\ntimeout = 30", "@pytest.mark.unit", "timeout", id="command line"
        ),
        pytest.param(
            ("--timeout=30",),
            "[types.unit]\ntimeout = 0.5",
            "@pytest.mark.unit",
            "passed",
            id="command line beats table",
        ),
        pytest.param((), "timeout = 30\n[types.unit]\ntimeout = 0.5", "@pytest.mark.unit", "timeout", id="table"),
        pytest.param((), "timeout = 0.5", "@pytest.mark.unit", "timeout", id="general key"),
        pytest.param(("-o", "timeout=30"), "timeout = 0.5", "@pytest.mark.unit", "timeout", id="general key beats ini"),
        pytest.param(("-o", "timeout=0.5"), "", "@pytest.mark.unit", "timeout", id="ini beats built-in"),
        pytest.param(("-o", "timeout=0.5"), "timeout = 0", "@pytest.mark.unit", "passed", id="zero is a setting"),
        pytest.param(("--timeout=0",), "timeout = 0.5", "@pytest.mark.unit", "passed", id="zero on the command line"),
        pytest.param(
            (), "", "@pytest.mark.timeout(30)\n@pytest.mark.unit(timeout=0.5)", "timeout", id="closer keyword wins"
        ),
        pytest.param(
            (), "", "@pytest.mark.unit(timeout=0.5)\n@pytest.mark.timeout(30)", "passed", id="closer engine marker wins"
        ),
        pytest.param((), "timeout = 0.5", "", "passed", id="untyped has no policy"),
    ],
)
def test_closest_and_most_explicit_timeout_wins(
    pytester: pytest.Pytester, run: Run, arguments: tuple[str, ...], ini: str, marks: str, expected: str
) -> None:
    pytester.makefile(".toml", sergas=ini)
    pytester.makepyfile(f"import time, pytest\n{marks}\ndef test_one(): time.sleep(1.2)")

    assert run(*arguments).outcomes == {"test_one": expected}


def test_environment_variable_of_the_engine_beats_the_table(
    pytester: pytest.Pytester, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_TIMEOUT", "0.5")
    pytester.makefile(".toml", sergas="[types.unit]\ntimeout = 30")
    pytester.makepyfile("import time, pytest\n@pytest.mark.unit\ndef test_one(): time.sleep(5)")

    assert run().outcomes == {"test_one": "timeout"}


def test_timer_that_fires_while_a_report_is_made_ends_no_session(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makeconftest(
        """
        import pytest, time

        @pytest.hookimpl(wrapper=True)
        def pytest_runtest_makereport(item, call):
            if call.when == "call" and item.name == "test_slow_report":
                end = time.monotonic() + 2
                while time.monotonic() < end:
                    pass
            return (yield)
        """
    )
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.unit(timeout=1)
        def test_slow_report(): pass

        @pytest.mark.unit
        def test_other(): pass
        """
    )

    ran = run()

    assert ran.outcomes == {"test_slow_report": "timeout", "test_other": "passed"}
    assert ran.result.ret == pytest.ExitCode.TESTS_FAILED


@pytest.mark.parametrize("only", [pytest.param("", id="whole test"), pytest.param(", func_only=True", id="function")])
def test_failed_subtest_leaves_only_the_rest_of_the_time(pytester: pytest.Pytester, run: Run, only: str) -> None:
    pytester.makepyfile(
        f"""
        import pytest, time

        @pytest.mark.unit
        @pytest.mark.timeout(3{only})
        def test_one(subtests):
            time.sleep(2)
            with subtests.test("one"):
                assert 1 == 2
            time.sleep(20)
        """
    )

    test = run().tests["test_one"]

    assert test["rawStatus"] == "timeout"
    assert 2900 <= test["duration"] < 4500
