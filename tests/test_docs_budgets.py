"""The README's failure over a budget is what a real run says, numbers aside."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest

from tests.plugin.conftest import Run, run

__all__ = ["run"]  # the fixture

pytestmark = pytest.mark.integration

README = (Path(__file__).parents[1] / "README.md").read_text("utf-8")


def without_numbers(text: str) -> list[str]:
    text = re.sub(r"\d+(\.\d+)? m?s\b", "TIME", text)
    return [re.sub(r" +", " ", re.sub(r"\d+%", "SHARE", line)) for line in text.strip().splitlines()]


def test_failure_in_the_readme_is_a_real_one(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        """
        import pytest, time

        @pytest.mark.performance(max_duration=0.05)
        def test_pay(): time.sleep(0.1)
        """
    )
    (shown,) = re.findall(
        r"\n\n((?:    .*\n)+)", README[README.index("## Budgets\n") : README.index("## Flaky tests\n")]
    )

    message = run().tests["test_pay"]["message"]

    assert without_numbers(message.removeprefix("BudgetExceeded: ")) == without_numbers(textwrap.dedent(shown))
