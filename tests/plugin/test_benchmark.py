"""The fixture ``benchmark``: ours where there is no other, and what its rounds mean for the budgets."""

from __future__ import annotations

import asyncio

import pytest

from pytest_sergas.core.measurement import Measurement
from pytest_sergas.core.rounds import Statistics, per_round, summarise
from pytest_sergas.plugin.benchmark import MIN_ROUNDS, Benchmark
from tests.plugin.conftest import Run

pytestmark = pytest.mark.integration


def test_function_is_called_in_rounds_and_its_result_returned() -> None:
    calls: list[int] = []

    def call(one: int, *, other: int) -> int:
        calls.append(one + other)
        return len(calls)

    benchmark = Benchmark()
    result = benchmark(call, 1, other=2)

    assert benchmark.statistics is not None
    assert result == len(calls) == benchmark.statistics.rounds >= MIN_ROUNDS
    assert set(calls) == {3}


def test_slow_function_is_called_the_fewest_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_sergas.plugin.benchmark.MAX_TIME_S", 0)
    benchmark = Benchmark()
    benchmark(lambda: None)

    assert benchmark.statistics is not None
    assert benchmark.statistics.rounds == MIN_ROUNDS


async def test_coroutine_function_is_awaited_in_rounds() -> None:
    calls: list[int] = []

    async def call(value: int) -> int:
        await asyncio.sleep(0)
        calls.append(value)
        return value

    benchmark = Benchmark()

    assert await benchmark(call, 7) == 7
    assert benchmark.statistics is not None
    assert len(calls) == benchmark.statistics.rounds >= MIN_ROUNDS


def test_exception_ends_the_rounds() -> None:
    calls: list[int] = []

    def call() -> None:
        calls.append(1)
        raise ValueError("a defect")

    with pytest.raises(ValueError, match=r"^a defect$"):
        Benchmark()(call)
    assert calls == [1]


def test_statistics_of_rounds() -> None:
    assert summarise([1.0, 2.0, 6.0]) == Statistics(rounds=3, min_s=1.0, median_s=2.0, mean_s=3.0, max_s=6.0)


def test_a_round_has_its_share_of_the_call() -> None:
    whole = Measurement("schedstat+VmHWM", 8.0, 4.0, 6.0, 2.0, 500, 3.2)

    assert per_round(whole, 1.0) == Measurement("schedstat+VmHWM+benchmark", 1.0, 0.5, 0.75, 0.25, 500, 0.4)


def test_a_round_is_never_more_than_the_call() -> None:
    whole = Measurement("wall+sampling", 1.0, 1.0, 0.5)

    assert per_round(whole, 3.0).wall_s == 1.0


def test_budget_is_judged_by_one_round(pytester: pytest.Pytester, run: Run) -> None:
    # The call sleeps for 2.5 s altogether, one round for half a second.
    pytester.makepyfile(
        """
        import pytest, time

        @pytest.mark.performance(max_duration=2.4)
        def test_one(benchmark): benchmark(time.sleep, 0.5)
        """
    )

    test = run().tests["test_one"]

    assert test["rawStatus"] == "passed"
    assert "retryAttempts" not in test
    assert test["extra"]["callSeconds"] >= 2.5
    assert test["extra"]["measured"]["method"].endswith("+benchmark")


def test_round_over_the_budget_fails(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        """
        import asyncio, pytest

        async def call(): await asyncio.sleep(0.05)

        @pytest.mark.asyncio
        @pytest.mark.performance(max_duration=0.01)
        async def test_one(benchmark): await benchmark(call)
        """
    )

    assert run().outcomes == {"test_one": "over_budget"}


OTHER = """
import pytest
from types import SimpleNamespace

class Theirs:
    def __init__(self): self.stats = None
    def __call__(self, call):
        self.stats = SimpleNamespace(stats=SimpleNamespace(median={median}))
        return call()

@pytest.fixture
def benchmark(): return Theirs()
"""


@pytest.mark.parametrize(("median", "outcome"), [("1e-9", "passed"), ("None", "over_budget")])
def test_statistics_of_pytest_benchmark_are_used_where_it_is_installed(
    pytester: pytest.Pytester, run: Run, median: str, outcome: str
) -> None:
    # What it looks like from here: a plugin of its name, and a fixture with its statistics.
    pytester.makepyfile(
        benchmark=OTHER.format(median=median),
        test_it="""
        import pytest, threading

        @pytest.mark.performance(max_duration=0.01, budget_attempts=1)
        def test_one(benchmark):
            assert type(benchmark).__name__ == "Theirs"
            benchmark(lambda: threading.Event().wait(0.05))
        """,
    )

    assert run("-p", "benchmark").outcomes == {"test_one": outcome}


def test_fixture_of_pytest_codspeed_is_left_alone(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        codspeed="import pytest\n@pytest.fixture\ndef benchmark(): return 'theirs'",
        test_it="import pytest\n@pytest.mark.unit\ndef test_one(benchmark): assert benchmark == 'theirs'",
    )

    assert run("-p", "codspeed").outcomes == {"test_one": "passed"}


def test_fixture_of_the_suite_is_left_alone(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makeconftest("import pytest\n@pytest.fixture\ndef benchmark(): return 'own'")
    pytester.makepyfile("import pytest\n@pytest.mark.unit\ndef test_one(benchmark): assert benchmark == 'own'")

    assert run().outcomes == {"test_one": "passed"}
