"""What workers tell of their times gets to the summary, where the run has come to its end."""

from __future__ import annotations

import re

import pytest

from tests.plugin.conftest import Run

pytestmark = pytest.mark.integration

# Any loss is said: a run of a few tests loses the start of its workers.
ANY_LOSS = "from pytest_sergas.core import gain\ngain.LOSS_S = gain.LOSS_SHARE = 0.0\n"
TESTS = "import pytest\n@pytest.mark.unit\n@pytest.mark.parametrize('n', range(4))\ndef test_a(n): assert n != {bad}\n"
NOTE = re.compile(
    r"parallel was no gain: \S+ m?s with workers, about \S+ m?s without \(\S+ m?s to collect, \S+ m?s for the tests\)"
)


@pytest.mark.parametrize(
    ("arguments", "bad", "expected"),
    [
        pytest.param(("-n2",), -1, True, id="to the end"),
        pytest.param(("-n2", "--dist=load"), -1, True, id="another scheduler"),
        pytest.param(("-n2", "--maxfail=1"), 0, False, id="stopped"),
        pytest.param(("-n2", "--dist=each"), -1, False, id="every test on each"),
        pytest.param((), -1, False, id="no workers"),
    ],
)
def test_run_that_gains_nothing_says_so(
    pytester: pytest.Pytester,
    run: Run,
    arguments: tuple[str, ...],
    bad: int,
    expected: bool,  # noqa: FBT001
) -> None:
    pytester.makeconftest(ANY_LOSS)
    pytester.makepyfile(TESTS.format(bad=bad))

    ran = run(*arguments)

    assert ran.document is not None
    notes = ran.document["results"]["extra"].get("notes", [])
    assert [bool(NOTE.fullmatch(note)) for note in notes] == [True] * expected
