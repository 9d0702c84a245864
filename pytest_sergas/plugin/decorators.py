"""The specification's decorators: `test`, `performance_test` and `integration_test`, which are markers in other words.

    @test(test_type=TestType.UNIT)                                  @pytest.mark.unit
    @performance_test(max_duration=2.0, max_memory_mb=100.0)        @pytest.mark.performance(max_duration=2.0, ...)
    @integration_test(dependencies=["database", "redis"])           @pytest.mark.integration(dependencies=[...])

On a coroutine function stands ``@pytest.mark.asyncio`` as well, unless another one applies to it, whose loop scope
then counts. A test that returns False fails; True and None pass, without pytest's warning of a test that returns
something. Signature, docstring, marks and attributes of the function stay what they were.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

import pytest

from pytest_sergas.core import kinds
from pytest_sergas.core.records import TestType
from pytest_sergas.core.text import show_value
from pytest_sergas.plugin.markers import RUNS
from pytest_sergas.plugin.markers import decorated as decorated_by_us

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

RETURNED_FALSE = "the test returned False, which is a failure; an assert in its place would say what was wrong"

_JUDGED = "__sergas_judged__"


def test(test_type: TestType | str, **keywords: Any) -> Callable[[Decorated], Decorated]:
    """Mark a test function or a class of tests with its type.

    Args:
        test_type: a `TestType`, or its value; in this suite its marker may have another name.
        keywords: those of the type's marker (``timeout``, ``retries``, ``dependencies``, ...), which are checked
            when the test is collected. None is the same as leaving it out.

    Raises:
        ValueError: there is no such type.
    """
    known = _type(test_type)
    given = {name: value for name, value in keywords.items() if value is not None}

    def decorate(decorated: Decorated) -> Decorated:
        return _marked(decorated, known, given)

    return decorate


# A test module has the name `test` when it imports it, and pytest would take it for a test.
test.__test__ = False  # type: ignore[attr-defined]  # functions may have any attribute


def performance_test(
    max_duration: float | None = None, max_memory_mb: float | None = None, **keywords: Any
) -> Callable[[Decorated], Decorated]:
    """Mark a test of the type `performance` with its budgets.

    Args:
        max_duration: seconds that the call may take.
        max_memory_mb: MiB that the call may add at its peak.
        keywords: as for `test`.
    """
    return test(TestType.PERFORMANCE, max_duration=max_duration, max_memory_mb=max_memory_mb, **keywords)


def integration_test(dependencies: Sequence[str] | None = None, **keywords: Any) -> Callable[[Decorated], Decorated]:
    """Mark a test of the type `integration` with the checks that have to pass before it runs.

    Args:
        dependencies: names of ``[[checks]]`` in the configuration.
        keywords: as for `test`.
    """
    return test(TestType.INTEGRATION, dependencies=dependencies, **keywords)


class OtherLoops:
    """Takes our ``asyncio`` mark off a test to which somebody else's applies, outside or inside of ours.

    The closest mark is the one that counts, and ours says nothing about the loop.
    """

    @pytest.hookimpl(tryfirst=True)
    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        definition = metafunc.definition
        others = [mark for mark in definition.iter_markers("asyncio") if mark is not _asyncio()]
        if others or definition.get_closest_marker("anyio"):
            function: Any = metafunc.function
            function.pytestmark = [mark for mark in getattr(function, "pytestmark", ()) if mark is not _asyncio()]
            definition.own_markers[:] = [mark for mark in definition.own_markers if mark is not _asyncio()]


def _type(given: object) -> TestType:
    if inspect.isroutine(given) or inspect.isclass(given):
        raise ValueError("@test has no type; write @test(test_type=TestType.UNIT)")
    types = [known.value for known in TestType]
    if given in types:
        return TestType(given)
    near = kinds.nearest(given, types) if isinstance(given, str) else ""
    hint = f"did you mean {near!r}?" if near else f"allowed: {', '.join(types)}"
    raise ValueError(f"test_type = {show_value('test_type', given)}: there is no such type; {hint}")


def _marked(decorated: Decorated, test_type: TestType, keywords: dict[str, Any]) -> Decorated:
    config, names = RUNS[-1] if RUNS else (None, {known.value: known.value for known in TestType})
    judged: Any = decorated if isinstance(decorated, type) else _judged(decorated)
    if name := names.get(test_type.value):  # a type that is disabled in this suite has none
        marker: pytest.MarkDecorator = getattr(pytest.mark, name).with_args(**keywords)
        decorated_by_us(marker.mark)
        judged = marker(judged)
    if _is_coroutine(judged) and (config is None or config.pluginmanager.hasplugin("asyncio")):
        _run_by_asyncio(judged, config)
    return cast("Decorated", judged)


def _judged(function: Any) -> Any:
    """Return a function that does what ``function`` does, and fails where that returns False."""
    if isinstance(function, staticmethod | classmethod):
        return type(function)(_judged(function.__func__))
    if not inspect.isroutine(function):
        raise TypeError(f"{show_value('test', function)} is no test: a function or a class can be marked")
    if hasattr(function, _JUDGED) or inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        return function
    judged: Callable[..., Any]
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def judged_coroutine(*args: Any, **kwargs: Any) -> object:
            __tracebackhide__ = True
            return _verdict(await function(*args, **kwargs))

        judged = judged_coroutine
    else:

        @functools.wraps(function)
        def judged_function(*args: Any, **kwargs: Any) -> object:
            __tracebackhide__ = True
            return _verdict(function(*args, **kwargs))

        judged = judged_function
    setattr(judged, _JUDGED, True)
    return judged


def _verdict(returned: object) -> object:
    """Fail for False, and return what pytest is to say something about: whatever is neither None, True nor False."""
    __tracebackhide__ = True
    if returned is False:
        pytest.fail(RETURNED_FALSE, pytrace=False)
    return None if returned is True else returned


def _is_coroutine(function: object) -> bool:
    return inspect.iscoroutinefunction(getattr(function, "__func__", function))


def _run_by_asyncio(function: Any, config: pytest.Config | None) -> None:
    target = getattr(function, "__func__", function)
    marks: list[pytest.Mark] = getattr(target, "pytestmark", [])
    if all(mark.name not in {"asyncio", "anyio"} for mark in marks):
        target.pytestmark = [*marks, _asyncio()]
    if config is not None and not config.pluginmanager.hasplugin("sergas-other-loops"):
        config.pluginmanager.register(OtherLoops(), "sergas-other-loops")


@functools.cache
def _asyncio() -> pytest.Mark:
    return pytest.mark.asyncio.mark
