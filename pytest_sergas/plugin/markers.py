"""The markers as ``pytest --markers`` explains them.

Plain text, and imported without anything else: this is all that a run without tests and without a
configuration needs of us. A test compares it with `core.records.TestType` and `core.policy.KEYWORDS`.
"""

from __future__ import annotations

from collections.abc import Mapping

import pytest

MEANING = {
    "unit": "one piece of code by itself",
    "integration": "several pieces, or a service, together",
    "performance": "how fast or how large something is",
    "security": "what an attacker would try",
    "load": "many requests at once",
    "regression": "a defect that must not come back",
    "smoke": "whether it runs at all",
    "e2e": "the whole system as its user sees it",
    "compatibility": "other versions and other platforms",
    "stress": "what happens beyond the limits",
}
KEYWORDS = (
    "timeout",
    "retries",
    "retry_delay",
    "retry_on",
    "max_duration",
    "max_memory_mb",
    "max_cpu",
    "max_regression",
    "budget_attempts",
    "dependencies",
    "exclusive",
)


# The runs that are configured in this process, the innermost last, each with its names of the markers: what a
# decorator is asked when a test file is imported, where no configuration is at hand.
RUNS: list[tuple[pytest.Config, Mapping[str, str]]] = []


def register(config: pytest.Config, names: Mapping[str, str]) -> None:
    """Register the markers.

    Args:
        names: type → the name of its marker in this suite.
    """
    run = (config, names)
    RUNS.append(run)
    config.add_cleanup(lambda: RUNS.remove(run))
    keywords = ", ".join(f"{keyword}=None" for keyword in KEYWORDS)
    for test_type, name in names.items():
        config.addinivalue_line(
            "markers",
            f"{name}({keywords}): a test of the type {test_type}: {MEANING[test_type]}. Its policy comes from "
            f"[tool.sergas.types.{test_type}]; the keywords change it for this test.",
        )
