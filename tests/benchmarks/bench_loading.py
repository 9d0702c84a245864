"""What the plugin adds to a run that collects nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.runs import SERGAS, alternate, cpu_s, instructions, plugins, show, wall_s

pytestmark = pytest.mark.performance

BOUND_MS = 5.0
PAIRS = 30
# Without the plugin pytest-asyncio warns that this is unset, which would be measured too.
COLLECT = ("--co", "-o", "asyncio_default_fixture_loop_scope=function")
LOADED = (*COLLECT, *plugins())
WITHOUT = (*COLLECT, *plugins(drop=SERGAS))
EMPTY = pytest.ExitCode.NO_TESTS_COLLECTED


def test_loading_costs_at_most_5_ms(tmp_path: Path) -> None:
    # On a busy machine the times of single runs differ by ten times the bound. What is judged is steadier: of the
    # time that pytest takes here without the plugin, the share of instructions that the plugin adds.
    folder = tmp_path / "empty"
    folder.mkdir()

    plain, loaded = alternate(folder, WITHOUT, LOADED, pairs=PAIRS, expect=EMPTY)
    few, more = (instructions(folder, *arguments, expect=EMPTY) for arguments in (WITHOUT, LOADED))

    more_ms = 1000 * cpu_s(plain) * (more - few) / few
    show(
        f"pytest --co on an empty folder, medians of {PAIRS} pairs",
        ("", "instructions", "CPU ms", "wall ms"),
        ("without the plugin", f"{few / 1e6:.1f} M", f"{1000 * cpu_s(plain):.1f}", f"{1000 * wall_s(plain):.1f}"),
        ("with the plugin", f"{more / 1e6:.1f} M", f"{1000 * cpu_s(loaded):.1f}", f"{1000 * wall_s(loaded):.1f}"),
        ("more, by instructions (bound 5)", f"{(more - few) / 1e6:.1f} M", f"{more_ms:.1f}", ""),
    )
    assert more_ms <= BOUND_MS
