"""Budgets over a test's attempts: samples are kept, judged, and repeated by pytest-rerunfailures.

An attempt that is over its time budget fails with `BudgetExceeded`. Whether it is repeated is the verdict's
answer, given to pytest-rerunfailures as the condition of a ``flaky`` marker; every other failure gets the
answer that it would have had without us: the number, the delay, the filters and the condition of the marker
that stood there, or of the command line.

An attempt that only its time budget failed is a sample. It makes nothing flaky: neither in the records, nor
for ``--fail-on-flaky``, nor in the line of counts, where it is "sampled" instead of "rerun".
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import field, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from pytest_sergas.core.budgets import Budgets, Decision, Verdict, judge, numbers
from pytest_sergas.core.frozen import dataclass
from pytest_sergas.core.measurement import Measurement
from pytest_sergas.plugin import foreign
from pytest_sergas.plugin.relabelling import Relabelling
from pytest_sergas.plugin.role import is_worker
from pytest_sergas.plugin.types import Typed

if TYPE_CHECKING:
    from pytest_sergas.core.baselines import Samples
    from pytest_sergas.plugin.suite_cap import SuiteCap


class BudgetExceeded(foreign.Failed):
    """A call used more than its budget allows, or may have and is to be repeated; the text says all of it."""

    # As pytest's own: the text begins with the name alone.
    __module__ = "builtins"

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict.text, pytrace=False)
        self.repeat = verdict.decision is Decision.REPEAT


@dataclass(slots=True)
class _State:
    """What is known of a test that has budgets while it runs.

    Attributes:
        samples: the attempts that passed but for their budgets.
        over: the numbers of those attempts that nothing but a budget failed.
    """

    samples: list[Measurement] = field(default_factory=list)
    over: set[int] = field(default_factory=set)


_STATE = pytest.StashKey[_State]()


class Judging:
    """Judges each attempt of the tests with budgets; registers itself with the first of them.

    Args:
        repeats: whether pytest-rerunfailures can repeat a test here.
        history: the file with what earlier runs took, or "" for pytest's cache.

    Attributes:
        without_history: how many tests have a relative budget and too little history for it.
    """

    def __init__(self, *, repeats: bool, history: str = "") -> None:
        self._repeats = repeats
        self._history = history
        self._before: Mapping[str, Samples] | None = None
        self.without_history = 0
        self._known: dict[Typed, Budgets] = {}
        self._types: dict[str, str] = {}
        self._cap: SuiteCap | None = None
        self._reruns: foreign.Reruns | None = None
        self._is_expected_to_fail: Callable[[pytest.Item], bool] = bool

    def assign(self, item: pytest.Item, typed: Typed) -> Budgets:
        """Return the budgets of ``item``, and let pytest-rerunfailures repeat it as they ask.

        Called after the retries of its policy have been put onto it.
        """
        budgets = self._known.get(typed)
        if budgets is None:
            budgets = self._known[typed] = typed.policy.budgets
        if not budgets.any:
            return budgets
        if not self._types:
            self._begin(item.config)
        self._types[item.nodeid] = typed.policy.type
        if budgets.regression is not None:
            budgets = replace(budgets, before_s=self._took(item))
        engine = self._reruns
        if engine is None:
            budgets = replace(budgets, attempts=1, most=1)
            self._count(budgets)
            return budgets
        attempts, most = numbers(budgets.attempts, available=_available(item))
        budgets = replace(budgets, attempts=attempts, most=most)
        self._count(budgets)
        extra = most - 1 if budgets.timed else 0
        condition = _Condition(item, engine)
        # Memory is not repeated: not even by the retries of the test.
        if extra or condition.retries:
            item.add_marker(_marker(item, condition, engine, extra=extra), append=False)
        return budgets

    def _begin(self, config: pytest.Config) -> None:
        config.pluginmanager.register(self, "sergas-budgets")
        if not is_worker(config):
            config.pluginmanager.register(Relabelling(), "sergas-relabelling")
        self._is_expected_to_fail = foreign.is_expected_to_fail(config)
        if self._repeats:
            self._reruns = foreign.reruns(config)
        most = foreign.option(config, "max_suite_reruns")
        if self._reruns is None or most is None:
            return
        from pytest_sergas.plugin.suite_cap import SuiteCap

        count = foreign.reruns_of_run(config)
        if count is None:
            self._reruns = None
        else:
            self._cap = SuiteCap(config, count, most)

    def _took(self, item: pytest.Item) -> tuple[float, ...]:
        """Return the seconds that ``item`` took in earlier runs on a machine like this."""
        from pytest_sergas.core.baselines import judged_by

        if self._before is None:
            from pytest_sergas.plugin import baselines

            path = baselines.place(item.config, self._history)
            self._before = baselines.read(path).baselines.get(baselines.machine(), {}) if path is not None else {}
        return judged_by(self._before.get(item.nodeid, ()))

    def _count(self, budgets: Budgets) -> None:
        if budgets.regression is not None and not budgets.compares:
            self.without_history += 1

    def judge(self, item: pytest.Item, budgets: Budgets, measurement: Measurement) -> Verdict:
        """Return the verdict on an attempt that passed otherwise."""
        state = item.stash.setdefault(_STATE, _State())
        state.samples.append(measurement)
        verdict = judge(budgets, state.samples, self._types[item.nodeid])
        if verdict.decision is Decision.REPEAT and self._cap is not None and not self._cap.reserve():
            made = len(state.samples)
            verdict = judge(replace(budgets, attempts=made, most=made), state.samples, self._types[item.nodeid])
        if self._is_expected_to_fail(item):
            return Verdict(Decision.WITHIN, verdict.findings)
        if verdict.text and self._reruns is not None:
            state.over.add(self._reruns.attempt(item))
        return verdict

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        if item.nodeid not in self._types:
            return (yield)
        state = item.stash[_STATE] = _State()
        result = yield
        if self._cap is not None:
            self._cap.release()
        if self._reruns is not None:
            count = self._reruns.attempt(item)
            if count > 1 and count - len(state.over) <= 1:
                self._reruns.forget_attempts(item)
        return result


def _marker(item: pytest.Item, condition: _Condition, engine: foreign.Reruns, *, extra: int) -> pytest.MarkDecorator:
    """Return the ``flaky`` marker that repeats ``item`` as it would be anyway, and for its time budget.

    Args:
        extra: how many more attempts the budget may need.
    """
    config = item.config
    reruns = condition.retries
    # Then the engine adds its own number to that of any marker.
    if foreign.option(config, "reruns_mode") == "append":
        reruns -= engine.of_run(config) or 0
    mark: pytest.MarkDecorator = pytest.mark.flaky(
        reruns=reruns + extra,
        reruns_delay=engine.delay_s(item),
        reruns_delay_backoff_factor=engine.backoff(item),
        # Filters would keep a budget from being repeated; the condition asks them about everything else.
        only_rerun=[],
        rerun_except=[],
        condition=condition,
    )
    return mark


class _Condition:
    """Whether a failed attempt is repeated.

    pytest-rerunfailures asks once for each phase that failed, with None for a subtest.
    """

    def __init__(self, item: pytest.Item, engine: foreign.Reruns) -> None:
        self._item = item
        self._engine = engine
        self._mark = item.get_closest_marker("flaky")
        self._only = engine.filter(item, "only_rerun")
        self._except = engine.filter(item, "rerun_except")
        self.retries: int = engine.count(item) or 0

    def __call__(self, error: BaseException | None) -> bool:
        item, over = self._item, self._item.stash[_STATE].over
        number = self._engine.attempt(item)
        if self._engine.teardown_failed(item):
            over.discard(number)  # more than a budget has failed
        elif isinstance(error, BudgetExceeded):
            return error.repeat
        return number - len(over) <= self.retries and self._before(error)

    def _before(self, error: BaseException | None) -> bool:
        """Return what filters and condition would have said without us."""
        caught = SimpleNamespace(value=error) if error is not None else None
        if self._only and not self._engine.matches_only(self._only, caught):
            return False
        if self._except and self._engine.matches_except(self._except, caught):
            return False
        if self._mark is None or "condition" not in self._mark.kwargs:
            return True
        condition = self._mark.kwargs["condition"]
        return bool(self._engine.evaluate(self._item, self._mark, condition, caught))


def _available(item: pytest.Item) -> int | None:
    """Return how many attempts pytest-rerunfailures can make of ``item``; None for any number."""
    config = item.config
    excluded = foreign.option(config, "rerun_exclude_path") or []
    if any(item.path.is_relative_to(config.rootpath / path) for path in excluded):
        return 1
    limits: list[int | None] = [foreign.option(config, name) for name in ("force_reruns", "max_suite_reruns")]
    return min((limit + 1 for limit in limits if limit is not None), default=None)
