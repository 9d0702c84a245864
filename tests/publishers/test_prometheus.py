"""What is pushed reaches a real Prometheus through the Pushgateway, and answers the questions of its users."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_sergas.core.records import Outcome
from pytest_sergas.publishers.pushgateway import create
from tests.publishers.conftest import context_for, forever_s, record, run_of
from tests.servers.process import until
from tests.servers.prometheus import lint, prometheus
from tests.servers.pushgateway import Pushgateway

pytestmark = pytest.mark.integration


def test_promtool_complains_about_what_is_wrong() -> None:
    assert lint("# HELP size_megabytes Size.\n# TYPE size_megabytes gauge\nsize_megabytes 1\n") == (
        'size_megabytes use base unit "bytes" instead of "megabytes"\n'
    )


def test_pushed_runs_are_scraped_and_queried(gateway: Pushgateway, tmp_path: Path) -> None:
    publisher = create(context_for(tmp_path, push=gateway.url, push_labels={"branch": "{branch}"}))
    assert publisher is not None
    failed = record('a.py::test_b["\\\n🎉]', Outcome.FAILED)
    publisher.publish(run_of(record(), finished_s=1_000.0), forever_s)
    publisher.publish(run_of(record(), failed, finished_s=2_000.0, exit_status=1), forever_s)

    with prometheus(tmp_path, gateway.url) as running:

        def value(expression: str) -> float:
            [series] = running.query(expression)
            return float(series["value"][1])

        [tests] = running.query('sergas_tests{outcome="failed"}')
        assert tests["metric"] == {"__name__": "sergas_tests", "job": "shop", "type": "unit", "outcome": "failed"}
        assert value('sergas_tests{outcome="failed"}') == 1
        assert value('sum(sergas_tests{job="shop"})') == 2
        assert value("sergas_success_rate_percent") == 50
        assert value("sergas_last_run_timestamp_seconds - sergas_last_success_timestamp_seconds") == 1_000
        assert value("histogram_quantile(0.9, sergas_test_duration_seconds_bucket)") == pytest.approx(0.475)
        assert {series["metric"]["test"] for series in running.query("sergas_slowest_test_seconds")} == {
            "tests/test_shop.py::test_pay",
            'a.py::test_b["\\ 🎉]',
        }
        assert until(lambda: value('up{job="gateway"}') == 1, "the gateway is up")
