"""The fixture ``benchmark`` as it stands in every suite: what it does is loaded by the first test that asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_sergas.plugin.benchmark import Benchmark

# pytest-benchmark and pytest-codspeed bring a fixture of this name, which stays theirs.
OTHERS = ("benchmark", "codspeed")


class BenchmarkFixture:
    """Brings the fixture into a suite."""

    @pytest.fixture
    def benchmark(self) -> Benchmark:
        """Repeat a call, so that budgets judge one round of it."""
        from pytest_sergas.plugin.benchmark import Benchmark

        return Benchmark()


def is_free(config: pytest.Config) -> bool:
    """Whether nobody else brings a fixture of this name."""
    return not any(map(config.pluginmanager.hasplugin, OTHERS)) and not config.pluginmanager.hasplugin(
        "sergas-benchmark"
    )
