"""One run of a check, with a deadline: what hangs or raises costs only its own result."""

from __future__ import annotations

import time
from concurrent.futures import Future
from dataclasses import replace
from threading import Thread

from pytest_sergas.checks import Check
from pytest_sergas.core.health import CheckResult, HealthStatus
from pytest_sergas.core.text import one_line

# A check that ends by its own timeout knows better what it waited for.
GRACE_S = 0.5
HANGING_LIMIT = 4
MESSAGE_LIMIT = 300


class Runner:
    """Runs one check, each time on a daemon thread of its own, which neither a pool nor an exit waits for.

    A run that is not back in time is abandoned, and the next one starts beside it: what made it hang may be over.
    `HANGING_LIMIT` of them may hang at once, so that a check that hangs for good costs that many threads.

    Args:
        before: the runner that this one replaces; what hangs there counts here.
    """

    def __init__(self, check: Check, before: Runner | None = None) -> None:
        self._check = check
        self._under_way: list[Future[CheckResult]] = before._under_way if before else []  # noqa: SLF001  of this class
        self._since_s = time.monotonic()

    def run(self, timeout_s: float) -> CheckResult:
        """Check once and wait for the result, at most ``timeout_s`` seconds and `GRACE_S`."""
        try:
            return self.start(timeout_s).result(timeout_s + GRACE_S)
        except TimeoutError:
            return self.overdue()

    def start(self, timeout_s: float) -> Future[CheckResult]:
        """Start a run; who does not get a result within ``timeout_s`` and `GRACE_S` takes `overdue()` instead."""
        future: Future[CheckResult] = Future()
        future.set_running_or_notify_cancel()  # from here on nobody's cancel() reaches it
        self._under_way = [run for run in self._under_way if not run.done()]
        if (hanging := len(self._under_way)) >= HANGING_LIMIT:
            message = f"{hanging} runs of the check hang; it is run again when one of them has ended"
            future.set_result(CheckResult(self._check.name, HealthStatus.UNHEALTHY, message))
            return future
        self._since_s = time.monotonic()
        thread = Thread(target=self._work, args=(timeout_s, future), name=f"check {self._check.name}", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # the system has no thread left
            future.set_result(CheckResult(self._check.name, HealthStatus.UNHEALTHY, f"cannot be checked: {error}"))
        else:
            self._under_way.append(future)
        return future

    def overdue(self) -> CheckResult:
        """Return the result of a run that is not back in time."""
        waited_s = time.monotonic() - self._since_s
        message = f"no answer within {waited_s:.1f} s; the check still hangs"
        return CheckResult(self._check.name, HealthStatus.UNHEALTHY, message, duration_s=waited_s)

    def _work(self, timeout_s: float, future: Future[CheckResult]) -> None:
        started_s = time.perf_counter()
        result = self._attempt(timeout_s)
        future.set_result(replace(self._public(result), duration_s=time.perf_counter() - started_s))

    def _attempt(self, timeout_s: float) -> CheckResult:
        name = self._check.name
        try:
            result = self._check.run(timeout_s)
        except BaseException as error:  # noqa: BLE001  the edge of a stranger's check; even its exit ends only its thread
            text = str(error)
            message = f"the check raised {type(error).__name__}{f': {text}' if text else ''}"
            return CheckResult(name, HealthStatus.UNHEALTHY, message)
        if not isinstance(result, CheckResult):
            message = f"the check returned {type(result).__name__} instead of a CheckResult"
            return CheckResult(name, HealthStatus.UNHEALTHY, message)
        return replace(result, component=name)

    def _public(self, result: CheckResult) -> CheckResult:
        details = {
            key: self._without_secrets(value) if isinstance(value, str) else value
            for key, value in result.details.items()
        }
        return replace(result, message=one_line(self._without_secrets(result.message), MESSAGE_LIMIT), details=details)

    def _without_secrets(self, text: str) -> str:
        # The longest first: a shorter one may be a part of it.
        for secret in sorted(self._check.secrets, key=len, reverse=True):
            text = text.replace(secret, "***") if secret else text
        return text
