"""A function of your own as a check.

    [[checks]]
    type = "python"
    call = "shop.health:stock"       # module:function, without arguments; it may be a coroutine function

What it returns decides: None or True is healthy, False is unhealthy; a text is healthy, with this message;
a `HealthStatus`, a pair of it and a message, or a whole `CheckResult` says it all. What it raises is unhealthy.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from pytest_sergas.checks import Context
from pytest_sergas.checks.options import Options
from pytest_sergas.config.check_options import CHECK_OPTIONS
from pytest_sergas.core.health import CheckResult, HealthStatus

KEYS = CHECK_OPTIONS["python"]


@dataclass(frozen=True, slots=True)
class PythonCheck:
    """Calls a function, which has to end in time itself, because nobody can interrupt it; a coroutine is ended."""

    name: str
    function: Callable[[], object]
    secrets: tuple[str, ...] = ()

    def run(self, timeout_s: float) -> CheckResult:
        returned = self.function()
        if inspect.iscoroutine(returned):
            from pytest_sergas.checks.deadline import OverdueError, ended_within

            coroutine = cast("Coroutine[Any, Any, object]", returned)
            try:
                returned = ended_within(timeout_s, lambda: coroutine, new_loop=None)
            except OverdueError:
                return CheckResult(self.name, HealthStatus.UNHEALTHY, f"not done within {timeout_s:g} s")
        return self._result(returned)

    def _result(self, returned: object) -> CheckResult:
        if isinstance(returned, CheckResult):
            return replace(returned, component=self.name)
        match returned:
            case (HealthStatus() as status, str(message)):
                pass
            case HealthStatus() as status:
                message = f"returned {status}"
            case str(message):
                status = HealthStatus.HEALTHY
            case None | True:
                status, message = HealthStatus.HEALTHY, f"returned {returned}"
            case False:
                status, message = HealthStatus.UNHEALTHY, "returned False"
            case _:
                allowed = "None, True, False, a text, a HealthStatus, (HealthStatus, text), a CheckResult"
                status, message = HealthStatus.UNHEALTHY, f"returned {type(returned).__name__}; allowed: {allowed}"
        return CheckResult(self.name, status, message)


def create(context: Context) -> PythonCheck:
    options = Options(context, KEYS, required=("call",))
    function: Any = None
    if call := options.get("call", ""):
        try:
            function = _find(call, context.root)
        except Exception as error:  # noqa: BLE001  the edge of a stranger's module, which is executed here
            options.fault("call", f"cannot be imported: {type(error).__name__}: {error}")
        else:
            if not callable(function):
                options.fault("call", f"is a {type(function).__name__}, not a function")
    options.done()
    return PythonCheck(context.settings.name, function)


def _find(call: str, root: Path) -> object:
    # The program `sergas` has no directory of the user's on its path; last, so that nothing is hidden by it.
    if str(root) not in sys.path:
        sys.path.append(str(root))
    module, _, attributes = call.partition(":")
    found: object = import_module(module)
    for attribute in attributes.split("."):
        found = getattr(found, attribute)
    return found
