"""Unit tests: their directory gives them their type."""

from __future__ import annotations

from decimal import Decimal

import pytest

from shop.prices import discounted, gross, parse


@pytest.mark.parametrize(
    ("net", "vat_percent", "expected"),
    [
        pytest.param("10.00", 20, "12.00", id="even"),
        pytest.param("0.03", 50, "0.05", id="half a cent goes up"),
        pytest.param("7.90", 0, "7.90", id="no tax"),
    ],
)
def test_gross_adds_the_tax(net: str, vat_percent: int, expected: str) -> None:
    assert gross(Decimal(net), vat_percent) == Decimal(expected)


def test_ten_pieces_cost_a_tenth_less() -> None:
    assert discounted(Decimal("4.20"), 9) == Decimal("37.80")
    assert discounted(Decimal("4.20"), 10) == Decimal("37.80")


@pytest.mark.parametrize("text", ["", "12", "12.5", "-1.00", "1e3.00", "\u0661.\u0660\u0660"])
def test_what_is_no_price_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a price; write it as 12\.50"):
        parse(text)
