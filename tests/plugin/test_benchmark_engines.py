"""The fixture ``benchmark`` beside the real pytest-benchmark and pytest-codspeed."""

from __future__ import annotations

import pytest

from tests.plugin.conftest import Run
from tests.servers import pypi

pytestmark = pytest.mark.integration(timeout=300)  # the first run installs them

# All rounds together take longer than the budget, each alone is far within it.
ROUNDS = """
import pytest, time

@pytest.mark.unit(max_duration=0.9, budget_attempts=1)
def test_one(benchmark):
    assert type(benchmark).__module__.startswith("{module}")
    assert benchmark.pedantic(lambda: time.sleep(0.1) or "said", rounds=10) == "said"
"""


@pytest.fixture
def with_benchmark(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.setenv("PYTHONPATH", str(pypi.installed("pytest-benchmark")))
    return pytester


def test_median_of_pytest_benchmark_is_judged(with_benchmark: pytest.Pytester, run: Run) -> None:
    with_benchmark.makepyfile(ROUNDS.format(module="pytest_benchmark"))

    test = run().tests["test_one"]

    assert test["rawStatus"] == "passed", test["message"]
    assert test["extra"]["callSeconds"] >= 1
    assert test["extra"]["measured"]["method"].endswith("+benchmark")


# With workers pytest-benchmark switches itself off, and warns of it.
@pytest.mark.parametrize(
    "arguments", [("--benchmark-disable",), ("-n", "2", "-W", "ignore")], ids=["switched off", "off with workers"]
)
def test_single_call_is_judged_where_pytest_benchmark_is_off(
    with_benchmark: pytest.Pytester, run: Run, arguments: tuple[str, ...]
) -> None:
    with_benchmark.makepyfile(
        """
        import pytest, time

        @pytest.mark.unit(max_duration=0.05, budget_attempts=1)
        def test_one(benchmark): benchmark(time.sleep, 0.1)
        """
    )

    test = run(*arguments).tests["test_one"]

    assert test["rawStatus"] == "over_budget"
    assert not test["extra"]["measured"]["method"].endswith("+benchmark")


@pytest.mark.parametrize("arguments", [(), ("--codspeed",)], ids=["installed", "switched on"])
def test_pytest_codspeed_is_left_alone(
    pytester: pytest.Pytester, run: Run, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(pypi.installed("pytest-codspeed")))
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.unit
        def test_one(benchmark):
            assert type(benchmark).__module__.startswith("pytest_codspeed")
            assert benchmark(lambda: "said") == "said"
        """
    )

    test = run(*arguments).tests["test_one"]

    assert test["rawStatus"] == "passed", test["message"]
    assert not test["extra"]["measured"]["method"].endswith("+benchmark")
