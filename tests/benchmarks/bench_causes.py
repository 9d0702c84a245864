"""How well failures are grouped by cause, what that costs, and how much a broken fixture prints."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from math import comb
from pathlib import Path

import pytest

from pytest_sergas.core.causes import Frame, cause_of
from tests.benchmarks.runs import show

pytestmark = pytest.mark.performance

HEAD = ("", "measured", "bound")
FAILURES, CAUSES = 500, 40
LEAST_INDEX = 0.95
COST_US = 20.0
PRINTED_BYTES = 4_096

# What services, files, parsers and assertions say; in braces is what differs from failure to failure.
MESSAGES = (
    ("ConnectionError", "no route to {host} after {number} tries"),
    ("psycopg.OperationalError", 'connection to server at "{host}", port {number} failed: Connection refused'),
    ("FileNotFoundError", "[Errno 2] No such file or directory: '{path}'"),
    ("json.decoder.JSONDecodeError", "Expecting value: line {number} column {number} (char {number})"),
    ("KeyError", "'{word}'"),
    ("ValueError", "invalid literal for int() with base 10: '{word}'"),
    ("shop.errors.OutOfStock", "order {uuid} of <User object at {address}> cannot be served"),
    ("TimeoutError", "no answer from https://{host}/api/{word} within {number} s"),
    ("", "assert {number} == {number}\n +  where {number} = len([{number}, {number}])"),
    ("AssertionError", "user_{number} has {number} orders\nassert {number} < {number}"),
)


def failures(chance: random.Random) -> list[tuple[int, tuple[str, str, Frame]]]:
    """Return failures, each with the number of its cause: a message and a frame that go together."""

    def differing() -> dict[str, str]:
        number = str(chance.randrange(10_000))
        return {
            "number": number,
            "host": f"10.{chance.randrange(256)}.{chance.randrange(256)}.{chance.randrange(256)}",
            "path": f"/tmp/pytest-{number}/{chance.getrandbits(32):x}/orders.csv",  # noqa: S108  never opened
            "word": "".join(chance.choices("abcdef ghij", k=8)),
            "uuid": "-".join(f"{chance.getrandbits(4 * size):0{size}x}" for size in (8, 4, 4, 4, 12)),
            "address": f"0x{chance.getrandbits(44):x}",
        }

    causes = []
    for number in range(CAUSES):
        name, text = MESSAGES[number % len(MESSAGES)]
        # Half of the causes share their frame with others, and differ in type and message alone.
        frame = Frame("shop/api.py", 3, "call") if number < len(MESSAGES) else Frame(f"shop/m{number % 13}.py", 1, name)
        if number >= len(MESSAGES):
            frame = frame._replace(function=f"step_{number // len(MESSAGES)}", source="return self.answer(request)")
        causes.append((chance.choice(["setup", "call"]), name, text, frame))
    found = []
    for _ in range(FAILURES):
        number = min(int(chance.paretovariate(0.7)) - 1, CAUSES - 1)
        phase, name, text, frame = causes[number]
        message = f"{name}: {text}" if name else text
        moved = frame._replace(line=chance.randrange(1, 500))
        found.append((number, (phase, message.format(**differing()), moved)))
    return found


def adjusted_rand_index(one: Sequence[object], other: Sequence[object]) -> float:
    """Return how far two groupings of the same things agree: 1 for the same, 0 for what chance does."""

    def pairs(counts: Counter[object]) -> int:
        return sum(comb(count, 2) for count in counts.values())

    both = pairs(Counter(zip(one, other, strict=True)))
    first, second = pairs(Counter(one)), pairs(Counter(other))
    expected = first * second / comb(len(one), 2)
    return (both - expected) / ((first + second) / 2 - expected)


def test_failures_are_grouped_as_they_were_made() -> None:
    indices = []
    for seed in range(10):
        found = failures(random.Random(seed))  # noqa: S311  the same failures each time
        fingerprints = [cause_of(*failure).fingerprint for _, failure in found]
        indices.append(adjusted_rand_index([number for number, _ in found], fingerprints))
        merged = {fingerprint: number for (number, _), fingerprint in zip(found, fingerprints, strict=True)}
        assert len(set(merged.values())) == len({number for number, _ in found})
    show("grouping", HEAD, ("adjusted Rand index, worst of 10", f"{min(indices):.3f}", f"{LEAST_INDEX}"))

    assert min(indices) >= LEAST_INDEX


def test_cause_of_a_failure_costs_little() -> None:
    found = [failure for _, failure in failures(random.Random(1))]  # noqa: S311  the same failures each time
    took_s = []
    for _ in range(7):
        begin = time.perf_counter()
        for failure in found:
            cause_of(*failure)
        took_s.append(time.perf_counter() - begin)
    each_us = min(took_s) / len(found) * 1e6
    show("grouping", HEAD, ("a failure", f"{each_us:.1f} µs", f"{COST_US:g} µs"))

    assert each_us <= COST_US


def test_fixture_that_breaks_200_of_8000_tests_prints_little(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(
        "import pytest\n@pytest.fixture\ndef db(request):\n"
        "    raise ConnectionError(f'no route to {request.node.name}')\n",
        "ascii",
    )
    (tmp_path / "test_many.py").write_text(
        "import pytest\npytestmark = pytest.mark.unit\n"
        "@pytest.mark.parametrize('n', range(7800))\ndef test_fine(n): pass\n"
        "@pytest.mark.parametrize('n', range(200))\ndef test_broken(db, n): pass\n",
        "ascii",
    )
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"], cwd=tmp_path, capture_output=True, check=False
    )
    _, last_progress, after = ran.stdout.rpartition(b"[100%]")
    assert last_progress
    assert b"200 errors" in after
    show("8,000 tests, 200 broken by one fixture", HEAD, ("printed", f"{len(after)} bytes", f"{PRINTED_BYTES} bytes"))

    assert len(after) <= PRINTED_BYTES
