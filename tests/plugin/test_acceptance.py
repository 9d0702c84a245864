"""What a run has to meet as a whole: the exit status, and who says why."""

from __future__ import annotations

import pytest

from tests.plugin.conftest import Run

pytestmark = pytest.mark.integration

FLAKY = """
import pytest

tries = []

@pytest.mark.unit(retries=1)
def test_shaky():
    tries.append(1)
    assert len(tries) > 1

@pytest.mark.integration
@pytest.mark.parametrize("n", range(3))
def test_fine(n): pass
"""
TEXT = (
    "unit: 1 test is flaky, and max_flaky = 0: test_it.py::test_shaky; "
    "mend what fails at first, or put it into quarantine"
)
BOTH = pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "with workers"])


@BOTH
def test_flaky_test_fails_the_run_where_the_type_says_so(
    pytester: pytest.Pytester, run: Run, workers: tuple[str, ...]
) -> None:
    pytester.makefile(".toml", sergas="[types.unit]\nfail_on_flaky = true\n")
    pytester.makepyfile(test_it=FLAKY)

    ran = run(*workers)

    assert ran.result.ret == pytest.ExitCode.TESTS_FAILED
    assert ran.document is not None
    assert ran.document["results"]["extra"]["refused"] == [{"type": "unit", "text": TEXT}]
    assert ran.document["results"]["extra"]["exitStatus"] == 1
    assert f"the run fails: {TEXT}" in " ".join(line.strip() for line in ran.text.splitlines())


@BOTH
@pytest.mark.parametrize("table", ["[types.unit]\nmax_flaky = 1\n", "[types.integration]\nfail_on_flaky = true\n"])
def test_run_passes_where_no_more_are_flaky_than_may_be(
    pytester: pytest.Pytester, run: Run, workers: tuple[str, ...], table: str
) -> None:
    pytester.makefile(".toml", sergas=table)
    pytester.makepyfile(test_it=FLAKY)

    assert run(*workers).result.ret == pytest.ExitCode.OK


def test_reason_is_said_without_a_terminal_reporter_too(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makefile(".toml", sergas="[types.unit]\nfail_on_flaky = true\n")
    pytester.makepyfile(test_it=FLAKY)

    result = run("-p", "no:terminal").result

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert result.stderr.lines == [f"sergas: the run fails: {TEXT}"]


@BOTH
def test_whole_run_makes_no_more_repetitions_than_it_may(
    pytester: pytest.Pytester, run: Run, workers: tuple[str, ...]
) -> None:
    pytester.makefile(".toml", sergas="retries = 5\nmax_retries = 3\n")
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.unit
        @pytest.mark.parametrize("n", [1, 2])
        def test_one(n): assert False
        """
    )

    assert sum(test.get("retries", 0) for test in run(*workers).tests.values()) == 3


def test_cap_of_the_command_line_beats_that_of_the_configuration(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makefile(".toml", sergas="retries = 5\nmax_retries = 3\n")
    pytester.makepyfile("import pytest\n@pytest.mark.unit\ndef test_one(): assert False\n")

    assert run("--max-suite-reruns=1").tests["test_one"]["retries"] == 1
