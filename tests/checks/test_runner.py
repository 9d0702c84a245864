"""One run of a check: what hangs, raises or talks too much costs only its own result."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, NoReturn

import pytest

from pytest_sergas.checks import runner as module
from pytest_sergas.checks.runner import HANGING_LIMIT, MESSAGE_LIMIT, Runner
from pytest_sergas.core.health import CheckResult, HealthStatus
from tests.checks.conftest import PATIENT_S

pytestmark = pytest.mark.unit

AT_ONCE_S = 0.01


@dataclass(frozen=True, slots=True)
class Calling:
    """A check that does what a function does."""

    function: Callable[[], Any]
    secrets: tuple[str, ...] = ()
    name: str = "shop"

    def run(self, timeout_s: float) -> CheckResult:
        del timeout_s
        result: CheckResult = self.function()
        return result


def ok(message: str = "fine", **details: Any) -> CheckResult:
    return CheckResult("another name", HealthStatus.HEALTHY, message, details)


def test_result_has_the_name_of_the_check() -> None:
    assert Runner(Calling(ok)).run(PATIENT_S).component == "shop"


def test_result_says_how_long_it_took() -> None:
    assert Runner(Calling(ok)).run(PATIENT_S).duration_s > 0


def test_check_runs_on_another_thread_than_who_asks() -> None:
    threads: list[threading.Thread] = []

    def remember() -> CheckResult:
        threads.append(threading.current_thread())
        return ok()

    Runner(Calling(remember)).run(PATIENT_S)

    assert threads[0] is not threading.current_thread()
    assert threads[0].daemon  # an exit does not wait for it


@pytest.mark.parametrize(
    ("error", "message"),
    [
        pytest.param(ValueError("no stock"), "the check raised ValueError: no stock", id="with a text"),
        pytest.param(ValueError(), "the check raised ValueError", id="without a text"),
        pytest.param(SystemExit(3), "the check raised SystemExit: 3", id="an exit"),
        pytest.param(KeyboardInterrupt(), "the check raised KeyboardInterrupt", id="an interrupt"),
    ],
)
def test_check_that_raises_is_unhealthy(error: BaseException, message: str) -> None:
    def fail() -> NoReturn:
        raise error

    result = Runner(Calling(fail)).run(PATIENT_S)

    assert (result.status, result.message) == (HealthStatus.UNHEALTHY, message)


def test_check_that_returns_something_else_is_unhealthy() -> None:
    result = Runner(Calling(lambda: None)).run(PATIENT_S)

    assert result.status is HealthStatus.UNHEALTHY
    assert result.message == "the check returned NoneType instead of a CheckResult"


def test_check_that_hangs_is_unhealthy() -> None:
    end = threading.Event()

    def hang() -> CheckResult:
        end.wait()
        return ok()

    result = Runner(Calling(hang)).run(AT_ONCE_S)
    end.set()

    assert result.status is HealthStatus.UNHEALTHY
    assert result.message.startswith("no answer within ")
    assert result.message.endswith(" s; the check still hangs")


def test_check_that_overran_is_run_again_beside_the_run_that_hangs() -> None:
    end, calls = threading.Event(), []

    def hang_once() -> CheckResult:
        calls.append(threading.current_thread())
        if len(calls) == 1:
            end.wait()
        return ok()

    runner = Runner(Calling(hang_once))
    statuses = [runner.run(AT_ONCE_S).status for _ in range(2)]
    end.set()

    assert statuses == [HealthStatus.UNHEALTHY, HealthStatus.HEALTHY]


def test_check_that_hangs_for_good_costs_a_few_threads_also_after_a_reload(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GRACE_S", 0.0)
    end, calls = threading.Event(), []

    def hang() -> CheckResult:
        calls.append(threading.current_thread())
        end.wait()
        return ok()

    before = Runner(Calling(hang))
    hung = [before.run(AT_ONCE_S) for _ in range(HANGING_LIMIT)]
    after = Runner(Calling(hang), before)
    hung += [after.run(AT_ONCE_S) for _ in range(3)]
    assert len(calls) == HANGING_LIMIT
    assert {result.status for result in hung} == {HealthStatus.UNHEALTHY}
    assert hung[-1].message == "4 runs of the check hang; it is run again when one of them has ended"

    end.set()
    calls[0].join()
    assert after.run(PATIENT_S).status is HealthStatus.HEALTHY


def test_next_run_may_start_as_soon_as_the_result_is_there() -> None:
    runner = Runner(Calling(ok))
    begun: Future[Future[CheckResult]] = Future()
    # Called on the thread of the first run, which therefore has not ended yet.
    runner.start(PATIENT_S).add_done_callback(lambda _: begun.set_result(runner.start(PATIENT_S)))

    assert begun.result(PATIENT_S).result(PATIENT_S).status is HealthStatus.HEALTHY


def test_system_without_a_free_thread_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> NoReturn:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    result = Runner(Calling(ok)).run(PATIENT_S)

    assert (result.status, result.message) == (
        HealthStatus.UNHEALTHY,
        "cannot be checked: can't start new thread",
    )


def test_secrets_are_cut_out_of_every_text() -> None:
    def tell() -> CheckResult:
        return ok("cannot log in with hunter2 or hunter22", dsn="user:hunter2@host", port=5432)

    result = Runner(Calling(tell, secrets=("hunter2", "hunter22", ""))).run(PATIENT_S)

    assert result.message == "cannot log in with *** or ***"
    assert result.details == {"dsn": "user:***@host", "port": 5432}


def test_secrets_are_cut_out_of_what_a_check_raises() -> None:
    def fail() -> NoReturn:
        raise OSError("login failed for hunter2")

    assert (
        Runner(Calling(fail, secrets=("hunter2",))).run(PATIENT_S).message
        == "the check raised OSError: login failed for ***"
    )


def test_message_becomes_one_line_of_bounded_length() -> None:
    message = Runner(Calling(lambda: ok("a\nb\x1b[31m" + "c" * 10_000))).run(PATIENT_S).message

    assert message.startswith("a bccc")
    assert len(message) == MESSAGE_LIMIT
