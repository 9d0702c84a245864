"""Quarantine in real runs: what is masked, what is recorded, and what fails the run."""

from __future__ import annotations

import re

import pytest

from tests.plugin.conftest import Run

pytestmark = pytest.mark.integration

BOTH = pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "with workers"])
SUITE = """
import os
import pytest

tries = []

@pytest.mark.unit(retries=1)
def test_broken():
    tries.append(1)
    assert not tries, "known"

@pytest.fixture
def error():
    raise OSError("no service")

@pytest.mark.integration
def test_error(error): pass

@pytest.mark.unit
def test_mended(): pass

@pytest.mark.unit
def test_skipped(): raise AssertionError("it ran")

def test_untyped(): pass
"""


def quarantine(*names: str, until: str = "2999-12-31", file: str = "test_it.py") -> str:
    """Return a file with these tests in it; a name may end in ``:skip``."""
    return "".join(
        f'[[quarantine]]\ntest = "{file}::{name.removesuffix(":skip")}"\nreason = "races"\nowner = "payments"\n'
        f"until = {until}\n" + ('mode = "skip"\n' if name.endswith(":skip") else "")
        for name in names
    )


@BOTH
def test_failures_are_masked_when_they_are_final_and_recorded_as_they_were(
    pytester: pytest.Pytester, run: Run, workers: tuple[str, ...]
) -> None:
    pytester.makefile(
        ".toml", **{"sergas-quarantine": quarantine("test_broken", "test_error", "test_mended", "test_skipped:skip")}
    )
    pytester.makepyfile(test_it=SUITE)

    ran = run("-x", *workers)

    assert ran.result.ret == pytest.ExitCode.OK
    found = {name: (test["status"], test["rawStatus"], test["extra"].get("result")) for name, test in ran.tests.items()}
    assert found == {
        "test_broken": ("other", "quarantined", "failed"),
        "test_error": ("other", "quarantined", "error"),
        "test_mended": ("other", "quarantined", "passed"),
        "test_skipped": ("other", "quarantined", "skipped"),
        "test_untyped": ("passed", "passed", None),
    }
    broken = ran.tests["test_broken"]
    assert (broken["retries"], broken["message"].splitlines()[0]) == (1, "AssertionError: known")
    assert "quarantined: test_it.py::test_broken failed\n" in ran.text
    # Workers report in any order, and pytest names what it counts in the order in which it first came.
    assert sorted(re.findall(r"\d+ [a-z]+", ran.text.splitlines()[-1].partition(" in ")[0])) == [
        "1 rerun",
        "1 skipped",
        "2 passed",
        "2 quarantined",
    ]


def test_crash_of_a_worker_is_masked_too(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makefile(".toml", **{"sergas-quarantine": quarantine("test_crash")})
    pytester.makepyfile(
        test_it="import os, pytest\n@pytest.mark.unit\ndef test_crash(): os._exit(3)\ndef test_b(): pass"
    )

    ran = run("-n", "1")

    assert ran.result.ret == pytest.ExitCode.OK
    assert ran.tests["test_crash"]["extra"]["result"] == "crashed"


def test_quarantined_test_does_not_fail_its_gate(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makefile(
        ".toml",
        **{"sergas-quarantine": quarantine("test_smoke"), "sergas": "[types.smoke]\ngate = true\n"},
    )
    pytester.makepyfile(
        test_it="import pytest\n@pytest.mark.smoke\ndef test_smoke(): assert 0\ndef test_behind(): pass"
    )

    assert run().outcomes == {"test_smoke": "quarantined", "test_behind": "passed"}


@BOTH
def test_expired_entry_hides_nothing_and_fails_the_run(
    pytester: pytest.Pytester, run: Run, workers: tuple[str, ...]
) -> None:
    pytester.makefile(".toml", **{"sergas-quarantine": quarantine("test_one", until="2020-01-31")})
    pytester.makepyfile(test_it="def test_one(): pass")

    ran = run(*workers)

    assert (ran.result.ret, ran.outcomes) == (pytest.ExitCode.TESTS_FAILED, {"test_one": "passed"})
    assert ran.document is not None
    (refusal,) = ran.document["results"]["extra"]["refused"]
    assert refusal["text"] == (
        "quarantine: test_it.py::test_one was in quarantine until 2020-01-31, for payments to fix: races; fix it, or "
        "give its entry in sergas-quarantine.toml another date"
    )


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        pytest.param((), 1, id="whole run"),
        pytest.param(("-n", "2"), 1, id="whole run with workers"),
        pytest.param(("--sergas-shard", "1/2"), 1, id="shard of a whole run"),
        pytest.param(("-k", "one"), 0, id="-k"),
        pytest.param(("-m", "not unit"), 0, id="-m"),
        pytest.param(("test_it.py",), 0, id="path"),
    ],
)
def test_entry_without_a_test_fails_a_whole_run_and_no_other(
    pytester: pytest.Pytester, run: Run, arguments: tuple[str, ...], status: int
) -> None:
    pytester.makefile(".toml", **{"sergas-quarantine": quarantine("test_gone")})
    pytester.makepyfile(test_it="def test_one(): pass")

    ran = run(*arguments)

    assert ran.result.ret == status
    assert ("test_it.py::test_gone matches no test" in ran.text) is bool(status)


@BOTH
@pytest.mark.parametrize(
    ("file", "content"),
    [
        pytest.param("sub/test_it.py", "import nowhere", id="file"),
        pytest.param("sub/conftest.py", "import nowhere", id="directory"),
        pytest.param("sub/test_it.py", "import pytest\npytest.skip('not here', allow_module_level=True)", id="skipped"),
    ],
)
def test_entry_may_have_a_test_where_its_file_was_not_collected(
    pytester: pytest.Pytester, run: Run, workers: tuple[str, ...], file: str, content: str
) -> None:
    text = quarantine("test_one", file="sub/test_it.py") + quarantine("test_gone", file="test_other.py")
    pytester.makefile(".toml", **{"sergas-quarantine": text})
    pytester.mkdir("sub")
    pytester.makepyfile(**{"test_other": "def test_two(): pass", "sub/test_it": "def test_one(): pass"})
    (pytester.path / file).write_text(content, encoding="utf-8")

    document = run("--continue-on-collection-errors", *workers).document

    assert document is not None
    (refusal,) = document["results"]["extra"]["refused"]
    assert refusal["text"].startswith("quarantine: test_other.py::test_gone matches no test")


def test_file_that_cannot_be_used_ends_the_run_before_it_begins(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makefile(".toml", **{"sergas-quarantine": quarantine("test_one", until='"soon"')})
    pytester.makepyfile(test_it="def test_one(): pass")

    result = run("-n", "2", record=False).result

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert result.stderr.str().endswith(
        "sergas: 1 fault in the configuration\n"
        "  sergas-quarantine.toml: [[quarantine]] 1: until = 'soon': allowed: a date, such as 2026-08-31\n"
    )
    assert "collected" not in result.stdout.str()


def test_file_that_cannot_be_read_says_so(pytester: pytest.Pytester, run: Run) -> None:
    (pytester.path / "sergas-quarantine.toml").mkdir()
    pytester.makepyfile(test_it="def test_one(): pass")

    assert "sergas-quarantine.toml: cannot be read: Is a directory" in run(record=False).result.stderr.str()


def test_file_that_is_not_utf_8_says_so(pytester: pytest.Pytester, run: Run) -> None:
    (pytester.path / "sergas-quarantine.toml").write_bytes(b"\xff")
    pytester.makepyfile(test_it="def test_one(): pass")

    assert "sergas-quarantine.toml: cannot be read: it is not UTF-8" in run(record=False).result.stderr.str()
