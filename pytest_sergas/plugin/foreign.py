"""Every use of what other packages keep to themselves, each with a probe and a fall-back.

A name without a promise may be gone with the next release. So each is looked at when it is first needed, before it is
relied on; where it is not as expected, the run loses one feature, says so in one line, and goes on:

    package               name                                                    lost without it
    -------------------------------------------------------------------------------------------------------------------
    pytest                _pytest.skipping.xfailed_key                            budgets of tests with an xfail mark
                          Function._fixtureinfo, attributes of FixtureDef         units of tests that share fixtures
                          _pytest.python.get_direct_param_fixture_func            the same, for parameters with a scope
                          TerminalWriter._file                                    the line of progress
                          Config.known_args_namespace                             our scheduler; data of dead workers
                          _pytest.timing                                          when tests began that stop time
                          Skipped(_use_item_location=)                            the test's own line in -rs
                          CaptureManager.global_and_fixture_disabled              the table beside a test that hangs
    pytest-xdist          LoadScheduling                                          our scheduler
                          report_collection_diff                                  the difference between two workers
                          DSession._summary_report                                why it gave up
                          DSession.sched                                          our scheduler, where types bring it
                          DSession.nodemanager                                    the end of workers of a cancelled run
    execnet               Gateway._io.popen                                       why a worker died
    pytest-timeout        get_env_settings, Settings                              timeouts of types
                          _get_item_settings                                      later attempts under a timeout mark
                          timeout_sigalrm, timeout_timer                          the outcome timeout
    pytest                _pytest.subtests.failed_subtests_key                     retries for a subtest of unittest
    pytest-rerunfailures  get_reruns_count                                        retries of types
                          delays, filters and conditions, counts on the item      several attempts for a time budget
                          Config.failures_db                                      the same, under a cap of the run
                          its counts of a test                                    cheap retries with workers
    pytest-cov            cov_controller.cov, .failed_workers, .options           coverage by type
    pytest-benchmark      fixture.stats.stats.median                              budgets of one round

`pytest.fail.Exception` is public, but type checkers do not know it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TextIO, TypeAlias

import pytest

from pytest_sergas.own import Own

if TYPE_CHECKING:
    import argparse
    import subprocess

    import pytest_timeout
    from _pytest import outcomes

    Failed = outcomes.Failed
else:
    Failed = pytest.fail.Exception

_LOST = pytest.StashKey[dict[str, None]]()


class _ChangedError(Exception):
    """A name is not there any more, or not as expected."""


def lost(config: pytest.Config) -> Sequence[str]:
    """Return a line for each feature that a changed package has cost so far."""
    found = config.stash.get(_LOST, None)
    return () if found is None else tuple(found)


def lose(config: pytest.Config, package: str, what: object, cost: str) -> None:
    """Note that ``package`` has changed: ``what`` of it, and what that costs the run."""
    from importlib.metadata import PackageNotFoundError, version

    with suppress(PackageNotFoundError):  # vendored, or on the path without metadata
        package = f"{package} {version(package)}"
    config.stash.setdefault(_LOST, {})[f"{package} is not as expected: {what}; {cost}"] = None


def _function(owner: Any, name: str, arguments: int) -> Callable[..., Any]:
    """Return a function of ``owner`` that can be called with so many positional arguments.

    Raises:
        _ChangedError: there is no such function.
    """
    function = getattr(owner, name, None)
    where = f"{getattr(owner, '__name__', type(owner).__name__)}.{name}"
    if not callable(function):
        raise _ChangedError(f"{where} is missing")
    # inspect.signature would take fifty times as long.
    code = getattr(function, "__code__", None)
    if code is not None:
        most = code.co_argcount - hasattr(function, "__self__")
        takes_any = code.co_flags & 0x04  # *arguments
        least = most - len(function.__defaults__ or ())
        asked = code.co_kwonlyargcount - len(function.__kwdefaults__ or ())
        if asked or least > arguments or (arguments > most and not takes_any):
            raise _ChangedError(f"{where} takes other arguments")
    result: Callable[..., Any] = function
    return result


def _uses(owner: Any, function: str, attribute: str) -> None:
    """Check that a function of ``owner`` keeps ``attribute`` on items.

    Raises:
        _ChangedError: it does not.
    """
    code = getattr(getattr(owner, function, None), "__code__", None)
    if code is None or attribute not in (*code.co_names, *code.co_consts):
        raise _ChangedError(f"{owner.__name__}.{function} does not keep {attribute}")


# Options of other plugins are public, but come and go with their versions.


def option(config: pytest.Config, name: str) -> Any:
    """Return an option's value; None where this version of its plugin has no such option."""
    return config.getoption(name, None)


def ini(config: pytest.Config, name: str) -> Any:
    """Return a value of the configuration file; None where this version of its plugin has no such key."""
    try:
        return config.getini(name)
    except ValueError:
        return None


# pytest


def is_expected_to_fail(config: pytest.Config) -> Callable[[pytest.Item], bool]:
    """Return what says of an item that is being called whether an xfail mark is in force."""
    from _pytest import skipping

    key: Any = getattr(skipping, "xfailed_key", None)
    if isinstance(key, pytest.StashKey):
        return lambda item: item.stash.get(key, None) is not None
    cost = "the budgets of tests with an xfail mark are not judged"
    lose(config, "pytest", "_pytest.skipping.xfailed_key is missing", cost)
    return lambda item: item.get_closest_marker("xfail") is not None


class Fixtures:
    """The definitions of the fixtures that items ask for."""

    _NEEDED = ("scope", "argname", "baseid", "func")

    def __init__(self) -> None:
        self._is_checked = False
        self._is_lost = False
        self._carrier: object = None

    def of(self, item: pytest.Item) -> Iterable[Any]:
        """Return the definitions, with ``scope``, ``argname``, ``baseid`` and ``func``.

        Where a fixture overrides another and asks for it, both are among them.
        """
        if self._is_lost:
            return ()
        info = getattr(item, "_fixtureinfo", None)
        if info is None and not isinstance(item, pytest.Function):  # a doctest of a text file has none
            return ()
        try:
            found = [one for group in info.name2fixturedefs.values() for one in group]  # type: ignore[union-attr]
        except AttributeError:
            return self._lose(item, "Function._fixtureinfo.name2fixturedefs")
        if found and not self._is_checked:
            self._is_checked = True
            missing = [name for name in self._NEEDED if not hasattr(found[0], name)]
            if missing:
                return self._lose(item, f"FixtureDef.{missing[0]}")
            self._find_carrier(item)
        return found

    def is_parameter(self, definition: Any) -> bool:
        """Whether a definition only carries a value of ``parametrize(..., scope=...)``."""
        return definition.func is self._carrier

    def _find_carrier(self, item: pytest.Item) -> None:
        from _pytest import python

        self._carrier = getattr(python, "get_direct_param_fixture_func", None)
        if self._carrier is None:
            what = "_pytest.python.get_direct_param_fixture_func is missing"
            lose(item.config, "pytest", what, "tests that share a parameter of a wider scope run on one worker")

    def _lose(self, item: pytest.Item, name: str) -> tuple[()]:
        self._is_lost = True
        cost = "tests that share fixtures are distributed as if they shared none"
        lose(item.config, "pytest", f"{name} is missing", cost)
        return ()


def terminal_file(config: pytest.Config) -> TextIO | None:
    """Return the file that pytest's terminal writer writes to, or None where it cannot be replaced."""
    file: TextIO | None = getattr(config.get_terminal_writer(), "_file", None)
    if file is None:
        lose(config, "pytest", "TerminalWriter._file is missing", "there is no line of progress")
    return file


def set_terminal_file(writer: Any, file: Any) -> None:
    """Let a terminal writer that has a `terminal_file` write to another."""
    writer._file = file  # noqa: SLF001


def command_line(config: pytest.Config, cost: str) -> argparse.Namespace | None:
    """Return the options as they were typed, before plugins changed them; None, and ``cost`` noted, without them."""
    found: argparse.Namespace | None = getattr(config, "known_args_namespace", None)
    if found is None:
        lose(config, "pytest", "Config.known_args_namespace is missing", cost)
    return found


def skipped_at_item(config: pytest.Config) -> Callable[[str], BaseException]:
    """Return what makes of a reason the exception that skips an item, shown with the item's own line."""
    try:
        pytest.skip.Exception("", _use_item_location=True)
    except TypeError:
        what = "Skipped takes no _use_item_location"
        lose(config, "pytest", what, "tests that are skipped for a dependency are shown with a line of sergas")
        return pytest.skip.Exception
    return lambda reason: pytest.skip.Exception(reason, _use_item_location=True)


def keep_time(config: pytest.Config) -> None:
    """Let pytest itself read clocks that no test stops, until this session ends."""
    from _pytest import timing

    # Objects of our own, because freezegun looks for the real clock everywhere.
    for name, clock in (("time", Own.wall_s), ("perf_counter", partial(Own.perf_counter))):
        before = getattr(timing, name, None)
        if not callable(before):
            cost = "where a test stops time, the record says that it ran then"
            lose(config, "pytest", f"_pytest.timing.{name} is missing", cost)
            continue
        setattr(timing, name, clock)
        config.add_cleanup(partial(setattr, timing, name, before))


# pytest-xdist, and execnet under it


def load_scheduling(config: pytest.Config) -> type | None:
    """Return the scheduler that ``-n`` alone stands for."""
    from xdist import scheduler

    found = getattr(scheduler, "LoadScheduling", None)
    if not isinstance(found, type):
        what = "xdist.scheduler.LoadScheduling is missing"
        lose(config, "pytest-xdist", what, "the tests are scheduled by pytest-xdist")
        return None
    return found


def collection_difference(config: pytest.Config) -> Callable[[Sequence[str], Sequence[str], str, str], str | None]:
    """Return what compares the tests that two workers collected; it returns a text, or None when they are the same."""
    from xdist import report

    try:
        return _function(report, "report_collection_diff", 4)
    except _ChangedError as error:
        lose(config, "pytest-xdist", error, "where workers collect different tests, the difference is not shown")

    def differs(first: Sequence[str], second: Sequence[str], first_id: str, second_id: str) -> str | None:
        return None if first == second else f"Different tests were collected between {first_id} and {second_id}."

    return differs


def distributing(config: pytest.Config) -> Any:
    """Return pytest-xdist's session, whose scheduler is ``sched``; None where there is none."""
    session = config.pluginmanager.getplugin("dsession")
    if getattr(session, "sched", None) is None:
        lose(config, "pytest-xdist", "DSession.sched is missing", "the tests are scheduled by pytest-xdist")
        return None
    return session


def given_up(config: pytest.Config) -> str:
    """Return why pytest-xdist has ended the run: workers died that it may not replace; "" where it did not."""
    try:
        reason: str | None = config.pluginmanager.getplugin("dsession")._summary_report  # noqa: SLF001
    except AttributeError:
        what = "DSession._summary_report is missing"
        lose(config, "pytest-xdist", what, "a run that gave up because workers died is not marked as incomplete")
        return ""
    return reason or ""


def worker_process(config: pytest.Config, node: Any) -> subprocess.Popen[bytes] | None:
    """Return the process of a worker of this machine."""
    popen: Any = getattr(getattr(node.gateway, "_io", None), "popen", None)
    if not callable(getattr(popen, "wait", None)):
        lose(config, "execnet", "Gateway._io.popen is missing", "why a worker died is not known")
        return None
    process: subprocess.Popen[bytes] = popen
    return process


def uncaptured(config: pytest.Config) -> AbstractContextManager[None]:
    """Let what is written reach the terminal, on any thread, while a test's output is captured."""
    manager: Any = config.pluginmanager.get_plugin("capturemanager")
    if manager is None:
        return nullcontext()
    disabled: Callable[[], AbstractContextManager[None]] | None = getattr(manager, "global_and_fixture_disabled", None)
    if disabled is None:
        lose(config, "pytest", "CaptureManager.global_and_fixture_disabled is missing", "a test's output may hide ours")
        return nullcontext()
    return disabled()


def worker_processes(config: pytest.Config) -> Sequence[subprocess.Popen[bytes]]:
    """Return the processes of the workers of this machine."""
    group: Any = getattr(getattr(config.pluginmanager.getplugin("dsession"), "nodemanager", None), "group", None)
    if group is None:
        lose(config, "pytest-xdist", "DSession.nodemanager is missing", "workers of a cancelled run end by themselves")
        return ()
    found: list[Any] = [getattr(getattr(gateway, "_io", None), "popen", None) for gateway in group]
    return [process for process in found if callable(getattr(process, "terminate", None))]


# pytest-timeout


class TimeoutSettings:
    """The settings of pytest-timeout: of the run, and of an item."""

    def __init__(self, config: pytest.Config) -> None:
        import pytest_timeout

        self.of_run: pytest_timeout.Settings = _function(pytest_timeout, "get_env_settings", 1)(config)
        missing = {"timeout", "method", "func_only"} - set(getattr(self.of_run, "_fields", ()))
        if missing:
            raise _ChangedError(f"pytest_timeout.Settings.{min(missing)} is missing")
        for name in ("pytest_timeout_set_timer", "pytest_timeout_cancel_timer"):
            _function(config.hook, name, 0)
        self._of_item: Callable[..., pytest_timeout.Settings] | None = None
        try:
            self._of_item = _function(pytest_timeout, "_get_item_settings", 1)
        except _ChangedError as error:
            cost = "timeout marks guard only the first attempt of a test, and no teardown after a failure"
            lose(config, "pytest-timeout", error, cost)

    def of_item(self, item: pytest.Item) -> pytest_timeout.Settings:
        """Return what is in force for ``item``, its mark included."""
        if self._of_item is not None:
            return self._of_item(item)
        # Nothing is armed again where a mark says something that only pytest-timeout can read.
        is_marked = item.get_closest_marker("timeout") is not None
        return self.of_run._replace(timeout=None) if is_marked else self.of_run


def timeout_settings(config: pytest.Config) -> TimeoutSettings | None:
    """Return the settings of pytest-timeout, where they can be read."""
    try:
        return TimeoutSettings(config)
    except _ChangedError as error:
        lose(config, "pytest-timeout", error, "types bring no timeout; pytest-timeout's own settings apply")
        return None


TimeoutAction: TypeAlias = "Callable[[pytest.Item, pytest_timeout.Settings], object]"


class TimeoutActions:
    """What pytest-timeout does when a timer fires: by signal, and in a thread of its own."""

    def __init__(self) -> None:
        import pytest_timeout

        self.raise_failure: Callable[[pytest.Item, pytest_timeout.Settings], object] = _function(
            pytest_timeout, "timeout_sigalrm", 2
        )
        self.end_process: Callable[[pytest.Item, pytest_timeout.Settings], object] = _function(
            pytest_timeout, "timeout_timer", 2
        )
        self.is_debugging: Callable[[], bool] = _function(pytest_timeout, "is_debugging", 0)


def timeout_actions(config: pytest.Config) -> TimeoutActions | None:
    """Return what pytest-timeout does at a timeout, where that can be called."""
    try:
        return TimeoutActions()
    except _ChangedError as error:
        cost = "a test that met its timeout counts as failed, and as passed where it suppressed the exception"
        lose(config, "pytest-timeout", error, cost)
        return None


# pytest-rerunfailures


def reruns_count(config: pytest.Config) -> Callable[[pytest.Item], int | None] | None:
    """Return what says how often pytest-rerunfailures would repeat an item by itself."""
    import pytest_rerunfailures

    try:
        return _function(pytest_rerunfailures, "get_reruns_count", 1)
    except _ChangedError as error:
        lose(config, "pytest-rerunfailures", error, "types bring no retries; pytest-rerunfailures' own settings apply")
        return None


def failed_subtests(
    config: pytest.Config, test: pytest.Item | pytest.TestReport
) -> tuple[defaultdict[Any, int], Any] | None:
    """Return how many failed subtests of tests pytest has counted, and the name of ``test`` there.

    What is counted fails its test, and pytest-rerunfailures repeats it for that; pytest counts those of its fixture.
    """
    import pytest_rerunfailures

    try:
        from _pytest.subtests import failed_subtests_key
    except ImportError:  # pytest 8 knows no subtests
        return None
    name = getattr(pytest_rerunfailures, "_failed_subtests_lookup_key", None)
    counts: defaultdict[Any, int] | None = config.stash.get(failed_subtests_key, None)
    return None if counts is None else (counts, test.nodeid if name is None else name(test))


class Reruns:
    """What pytest-rerunfailures knows about repeating an item."""

    def __init__(self) -> None:
        import pytest_rerunfailures as engine

        self.count: Callable[[pytest.Item], int | None] = _function(engine, "get_reruns_count", 1)
        self.delay_s: Callable[[pytest.Item], float] = _function(engine, "get_reruns_delay", 1)
        self.backoff: Callable[[pytest.Item], float] = _function(engine, "get_reruns_delay_backoff_factor", 1)
        self.of_run: Callable[[pytest.Config], int | None] = _function(engine, "_get_global_reruns", 1)
        self.filter: Callable[[pytest.Item, str], Any] = _function(engine, "_get_rerun_filter_regex", 2)
        self.matches_only: Callable[[Any, Any], bool] = _function(engine, "_matches_any_rerun_error", 2)
        self.matches_except: Callable[[Any, Any], bool] = _function(engine, "_matches_any_rerun_except_error", 2)
        self.evaluate: Callable[[pytest.Item, pytest.Mark, object, Any], bool] = _function(
            engine, "evaluate_condition", 4
        )
        _uses(engine, "pytest_runtest_protocol", "execution_count")
        _uses(engine, "pytest_runtest_makereport", "_test_failed_statuses")

    @staticmethod
    def attempt(item: pytest.Item) -> int:
        """Return the number of the attempt that is going on; 1 where the engine has nothing to do with the item."""
        number: int = getattr(item, "execution_count", 1)
        return number

    @staticmethod
    def forget_attempts(item: pytest.Item) -> None:
        """Let ``--fail-on-flaky`` see one attempt."""
        item.execution_count = 1  # type: ignore[attr-defined]

    @staticmethod
    def teardown_failed(item: pytest.Item) -> bool:
        """Whether the teardown of the attempt that has just ended failed."""
        return bool(getattr(item, "_test_failed_statuses", {}).get("teardown"))


def reruns(config: pytest.Config) -> Reruns | None:
    """Return what is known about repeating items, where several attempts can be made for a budget."""
    try:
        return Reruns()
    except _ChangedError as error:
        cost = "a time budget is judged by one attempt, and a failure of it is repeated like any other"
        lose(config, "pytest-rerunfailures", error, cost)
        return None


def reruns_of_run(config: pytest.Config) -> Any:
    """Return pytest-rerunfailures' count of the repetitions of the run, or None where it cannot be reserved from."""
    count = getattr(config, "failures_db", None)
    try:
        _function(count, "try_increment_suite_reruns", 1)
        _function(count, "decrement_suite_reruns", 0)
        _function(count, "get_suite_reruns", 0)
    except _ChangedError as error:
        cost = "under a cap of repetitions, a time budget is judged by one attempt"
        lose(config, "pytest-rerunfailures", error, cost)
        return None
    return count


def reruns_of_tests(config: pytest.Config) -> Any:
    """Return pytest-rerunfailures' counts of each test's repetitions, or None where they cannot be kept elsewhere."""
    count = getattr(config, "failures_db", None)
    if count is None:
        return None
    try:
        _function(count, "get_test_failures", 1)
        _function(count, "get_test_reruns", 1)
        _function(count, "set_test_reruns", 2)
    except _ChangedError as error:
        lose(
            config, "pytest-rerunfailures", error, "before each test that may be repeated, a worker asks the controller"
        )
        return None
    return count


def replace_reruns_of_run(config: pytest.Config, count: Any) -> None:
    """Let pytest-rerunfailures ask ``count`` instead."""
    config.failures_db = count  # type: ignore[attr-defined]


# pytest-cov


class Measured:
    """What pytest-cov measures."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._plugin: Any = config.pluginmanager.getplugin("_cov")
        self._is_lost = False

    @property
    def cov(self) -> Any:
        """The object of coverage, or None while nothing is measured."""
        controller = self._found(self._plugin, "cov_controller")
        return None if controller is None else self._found(controller, "cov")

    @property
    def is_by_test(self) -> bool:
        """Whether pytest-cov itself sets contexts: ``--cov-context=test``."""
        return bool(self._found(self._found(self._plugin, "options"), "cov_context") == "test")

    @property
    def is_off(self) -> bool:
        """Whether nothing is measured although pytest-cov is there, as with ``--no-cov``."""
        return self.cov is None and not self._is_lost

    def has_failed(self, node: object) -> bool:
        """Whether the data of a worker that has ended is missing."""
        return node in (self._found(self._plugin.cov_controller, "failed_workers") or ())

    def expect_nothing(self) -> None:
        """Let the run pass without ``--cov-fail-under``."""
        if self._found(self._plugin, "options") is not None:
            self._plugin.options.cov_fail_under = None

    def _found(self, owner: Any, name: str) -> Any:
        if self._is_lost or owner is None:
            return None
        try:
            return getattr(owner, name)
        except AttributeError:
            self._is_lost = True
            what = f"{type(owner).__name__}.{name} is missing"
            lose(self._config, "pytest-cov", what, "coverage is not known by type, and no minimum of it is judged")
            return None


# pytest-benchmark


def plugin_median_s(config: pytest.Config, fixture: Any) -> float | None:
    """Return the median of the rounds of pytest-benchmark's fixture, or None when it made none."""
    metadata = getattr(fixture, "stats", None)
    if metadata is None:  # disabled, or not called
        return None
    median = getattr(getattr(metadata, "stats", None), "median", None)
    if not isinstance(median, int | float):
        what = "BenchmarkFixture.stats.stats.median is missing"
        lose(config, "pytest-benchmark", what, "budgets are judged by all rounds together")
        return None
    return float(median) if median > 0 else None
