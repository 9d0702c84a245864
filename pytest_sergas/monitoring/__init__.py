"""The programmatic face: what the specification calls the monitoring hub, thin round the engine and round pytest.

    suites       what a `TestSuite` is, and what came of it
    runner       `TestRunner`: pytest in a process of its own

The names are resolved when they are first used (PEP 562), so that who runs tests loads no engine.
"""

from __future__ import annotations
