"""The cause of each failure, found where pytest reports it: the same alone and with workers, in every style."""

from __future__ import annotations

from typing import Any

import pytest

from tests.plugin.conftest import Ran, Run

pytestmark = pytest.mark.integration

# The fixtures, and what tests and fixtures call; json is a library's code.
CONFTEST = """
import pytest
from shop import connect

@pytest.fixture
def db(request):
    connect(request.node.name)

@pytest.fixture(scope="session")
def shared():
    connect("shared")

@pytest.fixture
def closed():
    yield
    raise OSError("not closed")
"""
SHOP = """
import json

def connect(name):
    raise ConnectionError(f"no route to 10.0.0.{len(name)} for {name!r}")

def parse(text):
    return json.loads("{" + text)
"""
TESTS = """
import pytest
from shop import parse

pytestmark = pytest.mark.unit

@pytest.mark.parametrize("n", [1, 2])
def test_db(db, n): pass

def test_shared(shared): pass
def test_shared_again(shared): pass
def test_closed(closed): pass
def test_missing(nowhere): pass
def test_missing_too(nowhere): pass
def test_missing_another(nowhere_else): pass
def test_parse(): parse("1")

def test_parse_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    parse("22")

@pytest.mark.parametrize("n", [1, 2, 0])
def test_lines(n):
    if n:
        assert n == 17
    assert n == 18

def test_passes(): pass
"""


def causes(ran: Ran) -> dict[str, dict[str, Any] | None]:
    return {name: test["extra"].get("cause") for name, test in ran.tests.items()}


def test_failures_have_the_cause_of_their_fixture_or_frame_in_every_style(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(test_a=TESTS, shop=SHOP, test_broken="import nowhere_to_be_found\n")
    alone, *others = (
        causes(run("--continue-on-collection-errors", *arguments))
        for arguments in ((), ("-n2",), ("--tb=native",), ("--tb=short",))
    )

    assert others == [alone, alone, alone]
    fingerprints = {name: cause["fingerprint"] for name, cause in alone.items() if cause is not None}
    groups: dict[str, list[str]] = {}
    for name, fingerprint in fingerprints.items():
        groups.setdefault(fingerprint, []).append(name)
    assert list(map(sorted, groups.values())) == [
        ["test_broken.py"],
        ["test_db[1]", "test_db[2]", "test_shared", "test_shared_again"],
        ["test_closed"],
        ["test_missing", "test_missing_too"],
        ["test_missing_another"],
        ["test_parse", "test_parse_elsewhere"],
        ["test_lines[1]", "test_lines[2]"],
        ["test_lines[0]"],
    ]
    assert alone["test_passes"] is None
    assert alone["test_parse"] == {
        "fingerprint": fingerprints["test_parse"],
        "phase": "call",
        "exception": "json.decoder.JSONDecodeError",
        "file": "shop.py",
        "line": 7,
        "function": "parse",
    }
    closed, missing = alone["test_closed"], alone["test_missing"]
    assert closed is not None
    assert (closed["phase"], closed["function"]) == ("teardown", "closed")
    assert missing is not None
    assert (missing["phase"], missing["function"]) == ("setup", "nowhere")
