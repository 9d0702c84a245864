"""What the page shows."""

from __future__ import annotations

import pytest

from shop_metrics import page


@pytest.mark.unit
def test_page_has_the_figures_of_the_shop() -> None:
    shown = page()

    assert "# HELP custom_active_users Number of active users\n" in shown
    assert "custom_active_users 2\n" in shown
    assert "business_conversion_rate 2.5\n" in shown
