"""What everything that is on by default, measuring included, and a CTRF file cost: 5,000 tests that do nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import pytest

from tests.benchmarks.runs import (
    JSON_CTRF,
    SERGAS,
    alternate,
    cpu_s,
    instructions,
    plugins,
    run,
    show,
    wall_s,
    write_suite,
)

pytestmark = pytest.mark.performance(timeout=1800)

TESTS = 5_000
OURS = ("--sergas-ctrf=run.json", *plugins())
TIMEOUT_ALONE = ("--timeout=60", *plugins(drop=SERGAS))
GLUED = ("--timeout=60", "--ctrf=glued.json", *plugins(add=JSON_CTRF, drop=SERGAS))


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_suite(tmp_path_factory.mktemp("benchmark") / "suite", tests=TESTS, modules=50)


def test_instructions_are_at_most_1_11_of_a_timeout_alone(suite: Path) -> None:
    alone = instructions(suite, *TIMEOUT_ALONE)
    ours = instructions(suite, *OURS)

    assert_all_recorded(suite / "run.json")
    ratio = ours / alone
    show(
        f"{TESTS} trivial tests, instructions of the whole process",
        ("", "millions", "ratio", "bound"),
        ("pytest --timeout=60", f"{alone / 1e6:.0f}", "", ""),
        ("everything, CTRF", f"{ours / 1e6:.0f}", f"{ratio:.3f}", "1.11"),
    )
    assert ratio <= 1.11


def test_time_is_at_most_1_12_of_a_timeout_alone(suite: Path) -> None:
    ratio = compare(suite, ("pytest --timeout=60", TIMEOUT_ALONE), ("everything, CTRF", OURS), "1.12")

    assert_all_recorded(suite / "run.json")
    assert ratio <= 1.12


@pytest.mark.parametrize(
    ("glued", "ours"),
    [
        pytest.param((), (), id="without retries"),
        pytest.param(("--reruns=1",), ("--reruns=1",), id="with retries"),
    ],
)
def test_time_is_less_than_that_of_plugins_glued_by_hand(
    suite: Path, glued: Sequence[str], ours: Sequence[str]
) -> None:
    pytest.importorskip("ctrf", reason="pytest-json-ctrf is missing: pip install --group bench")
    names = " ".join(("timeout + rerunfailures + json-ctrf", *glued))

    ratio = compare(suite, (names, (*GLUED, *glued)), (" ".join(("ours", *ours)), (*OURS, *ours)), "1.00")

    assert_all_recorded(suite / "run.json")
    assert_all_recorded(suite / "glued.json")
    assert ratio < 1


def test_retries_cost_tests_that_pass_next_to_nothing_with_workers(tmp_path: Path) -> None:
    plain, retried = (write_suite(tmp_path / name, tests=1_000, modules=10) for name in ("plain", "retried"))
    with (retried / "sergas.toml").open("a") as file:
        file.write("retries = 1\n")
    ratios = []
    for _ in range(11):
        costs = [run(suite, "-n2", *plugins()) for suite in (plain, retried)]
        ratios.append(costs[1].cpu_s / costs[0].cpu_s)

    show(
        "1,000 trivial tests, -n 2, CPU time with retries = 1 over none, 11 pairs",
        ("", "median", "bound"),
        ("with workers", f"{median(ratios):.3f}", "1.05"),
    )
    assert median(ratios) <= 1.05


def compare(
    suite: Path, base: tuple[str, Sequence[str]], ours: tuple[str, Sequence[str]], bound: str, *, pairs: int = 11
) -> float:
    """Print and return the ratio of the CPU times: the median over the pairs."""
    base_costs, our_costs = alternate(suite, base[1], ours[1], pairs=pairs)
    both = list(zip(base_costs, our_costs, strict=True))
    ratio = median(our.cpu_s / other.cpu_s for other, our in both)
    wall_ratio = median(our.wall_s / other.wall_s for other, our in both)
    show(
        f"{TESTS} trivial tests, whole process, median of {pairs} pairs",
        ("", "CPU s", "ratio", "bound", "wall s", "ratio"),
        (base[0], f"{cpu_s(base_costs):.2f}", "", "", f"{wall_s(base_costs):.2f}", ""),
        (ours[0], f"{cpu_s(our_costs):.2f}", f"{ratio:.3f}", bound, f"{wall_s(our_costs):.2f}", f"{wall_ratio:.3f}"),
    )
    return ratio


def assert_all_recorded(file: Path) -> None:
    """A run that leaves tests out would be cheap."""
    document = json.loads(file.read_text("utf-8"))
    assert document["results"]["summary"]["tests"] == TESTS
    assert document["results"]["summary"]["passed"] == TESTS
    file.unlink()
