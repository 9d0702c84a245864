"""Gated types run first, and the rest does not start when one of their tests fails."""

from __future__ import annotations

import pytest

from tests.plugin.conftest import Run

pytestmark = pytest.mark.integration

SUITE = """
import pytest

@pytest.mark.unit
def test_unit(): pass

@pytest.mark.smoke
def test_smoke_a(): assert {smoke_passes}

def test_untyped(): pass

@pytest.mark.smoke
def test_smoke_b(): pass

@pytest.mark.regression
def test_regression(): assert {regression_passes}
"""
GATE = "[types.smoke]\ngate = true\n"


def test_gated_type_runs_first_and_the_others_keep_their_order(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makefile(".toml", sergas=GATE)
    pytester.makepyfile(SUITE.format(smoke_passes=True, regression_passes=True))

    assert list(run().outcomes) == ["test_smoke_a", "test_smoke_b", "test_unit", "test_untyped", "test_regression"]


def test_several_gates_run_in_the_order_of_the_types(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makefile(".toml", sergas=GATE + "[types.regression]\ngate = true\n")
    pytester.makepyfile(SUITE.format(smoke_passes=True, regression_passes=True))

    assert list(run().outcomes)[:3] == ["test_regression", "test_smoke_a", "test_smoke_b"]


def test_failed_gate_is_run_to_its_end_and_stops_the_rest(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makefile(".toml", sergas=GATE)
    path = pytester.makepyfile(SUITE.format(smoke_passes=False, regression_passes=True))

    ran = run()

    assert ran.outcomes == {"test_smoke_a": "failed", "test_smoke_b": "passed"}
    assert ran.result.ret == pytest.ExitCode.TESTS_FAILED
    reason = f"gate 'smoke' failed ({path.name}::test_smoke_a); the rest was not started"
    assert ran.document is not None
    assert ran.document["results"]["extra"]["stopped"] == reason
    assert reason in ran.text


def test_first_gate_that_fails_stops_the_second(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makefile(".toml", sergas=GATE + "[types.regression]\ngate = true\n")
    pytester.makepyfile(SUITE.format(smoke_passes=True, regression_passes=False))

    assert run().outcomes == {"test_regression": "failed"}


def test_gate_that_passes_on_a_retry_lets_the_rest_start(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makefile(".toml", sergas=GATE + "retries = 1\n")
    pytester.makepyfile(
        """
        import pytest
        seen = []

        def test_untyped(): pass

        @pytest.mark.smoke
        def test_smoke():
            seen.append(1)
            assert len(seen) > 1
        """
    )

    assert run().outcomes == {"test_smoke": "flaky", "test_untyped": "passed"}


def test_failed_teardown_in_the_gate_stops_the_rest(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makefile(".toml", sergas=GATE)
    pytester.makepyfile(
        """
        import pytest

        @pytest.fixture
        def leaky():
            yield
            raise RuntimeError("no teardown")

        def test_untyped(): pass

        @pytest.mark.smoke
        def test_smoke(leaky): pass
        """
    )

    assert run().outcomes == {"test_smoke": "error"}


def test_selection_that_leaves_the_gate_out_has_none(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makefile(".toml", sergas=GATE)
    pytester.makepyfile(SUITE.format(smoke_passes=False, regression_passes=True))

    assert run("-m", "unit").outcomes == {"test_unit": "passed"}


def test_failed_gate_stops_a_run_with_a_worker(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makefile(".toml", sergas=GATE)
    pytester.makepyfile(SUITE.format(smoke_passes=False, regression_passes=True))

    ran = run("-n1")

    assert ran.outcomes == {"test_smoke_a": "failed", "test_smoke_b": "passed"}
    assert ran.result.ret != pytest.ExitCode.OK
    assert ran.document is not None
    assert ran.document["results"]["extra"]["stopped"].startswith("gate 'smoke' failed")
