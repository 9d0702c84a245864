"""What the program runs."""

import pytest


@pytest.mark.smoke
def test_arithmetic_works() -> None:
    assert 2 + 2 == 4
