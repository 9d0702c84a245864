"""Dashboards for Grafana: tests, health and system, out of the metrics that the sidecar exposes.

    python examples/grafana/dashboards.py

writes them beside this file, as JSON that Grafana imports. Prometheus has to scrape the sidecar with
``honor_labels: true``. Change a panel here, not in the JSON.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.builders import bargauge, dashboard, prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import BigValueColorMode
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DataSourceRef,
    FieldColorModeId,
    Threshold,
    ThresholdsMode,
    VariableRefresh,
)

HERE = Path(__file__).parent
DATASOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
_FAILED = "failed|error|timeout|crashed|over_budget"

Builder = stat.Panel | timeseries.Panel | bargauge.Panel | table.Panel


@dataclass(frozen=True)
class Panel:
    """A panel: what it asks, and how wide it is, of 24.

    Attributes:
        asks: expression → legend.
        good: from which value on it is green; the other way round where it is negative.
    """

    title: str
    kind: Callable[[], Builder]
    unit: str
    asks: dict[str, str]
    width: int = 6
    description: str = ""
    good: float | None = None


def query(metric: str, *, by: str = "") -> str:
    """Return the selector of a metric for the jobs that were chosen."""
    selected = f'{metric}{{job=~"$job"}}'
    return f"sum by ({by}) ({selected})" if by else selected


LAST_SUCCESS = query("sergas_last_success_timestamp_seconds")
TESTS = (
    Panel("Success rate", stat.Panel, "percent", {query("sergas_success_rate_percent"): "{{type}}"}, 12, good=100),
    Panel(
        "Time since the last success",
        stat.Panel,
        "s",
        {f"time() - {LAST_SUCCESS}": "{{type}}"},
        12,
        "A type whose last success is long ago has failed since, or was not run.",
    ),
    Panel(
        "Has ever succeeded",
        stat.Panel,
        "bool_yes_no",
        {f"({LAST_SUCCESS} > bool 0) or 0 * {query('sergas_last_run_timestamp_seconds')}": "{{type}}"},
        24,
        "No: the type was run and has never succeeded, so it has no time since its last success.",
        good=1,
    ),
    Panel("Tests by outcome", timeseries.Panel, "short", {query("sergas_tests", by="outcome"): "{{outcome}}"}, 12),
    Panel(
        "Failed and flaky by type",
        timeseries.Panel,
        "short",
        {
            f'sum by (type) (sergas_tests{{job=~"$job",outcome=~"{_FAILED}"}})': "{{type}} failed",
            'sum by (type) (sergas_tests{job=~"$job",outcome="flaky"})': "{{type}} flaky",
        },
        12,
    ),
    Panel("Time running", timeseries.Panel, "s", {query("sergas_wall_seconds"): "{{type}}"}, 12),
    Panel(
        "Duration of a test, 95th percentile",
        timeseries.Panel,
        "s",
        {
            f"histogram_quantile(0.95, {query('sergas_test_duration_seconds_bucket', by='type, le')})": "{{type}}",
        },
        12,
    ),
    Panel("Slowest tests", bargauge.Panel, "s", {f"topk(10, {query('sergas_slowest_test_seconds')})": "{{test}}"}, 12),
    Panel("Retries", timeseries.Panel, "short", {query("sergas_retries"): "{{type}}"}, 6),
    Panel("CPU time", timeseries.Panel, "s", {query("sergas_test_cpu_seconds"): "{{type}}"}, 6),
    Panel(
        "Budgets",
        timeseries.Panel,
        "percentunit",
        {query("sergas_budget_use_ratio"): "{{type}} {{budget}}"},
        12,
        "The largest share of a budget that a test used; above 100 % the test is over it.",
    ),
    Panel(
        "Memory of a test at its peak",
        timeseries.Panel,
        "bytes",
        {query("sergas_test_peak_memory_bytes"): "{{type}}"},
        12,
    ),
    Panel(
        "Coverage",
        timeseries.Panel,
        "percent",
        {
            query("sergas_coverage_percent"): "{{type}}",
            f"max by (job) ({query('sergas_run_coverage_percent')})": "{{job}} all types",
        },
        12,
    ),
)
HEALTH = (
    Panel("Components", stat.Panel, "bool_on_off", {query("sergas_check_up"): "{{check}}"}, 24, good=1),
    Panel(
        "Uptime",
        table.Panel,
        "percentunit",
        {query("sergas_check_uptime_ratio"): "{{check}}"},
        12,
        "The share of the observed time that was healthy or degraded.",
    ),
    Panel("How long a check takes", timeseries.Panel, "s", {query("sergas_check_duration_seconds"): "{{check}}"}, 12),
    Panel(
        "Status",
        timeseries.Panel,
        "short",
        {f"{query('sergas_check_status')} == 1": "{{check}} {{status}}"},
        12,
    ),
    Panel(
        "Results that were not healthy, per hour",
        timeseries.Panel,
        "short",
        {
            'sum by (check) (increase(sergas_check_results_total{job=~"$job",status!="healthy"}[1h]))': "{{check}}",
        },
        12,
    ),
)
SYSTEM = (
    Panel("CPU", stat.Panel, "percent", {query("system_cpu_usage_percent"): "in use"}, 6, good=-90),
    Panel("Memory", stat.Panel, "percent", {query("system_memory_usage_percent"): "in use"}, 6, good=-90),
    Panel("Disks", stat.Panel, "percent", {query("system_disk_usage_percent"): "{{mountpoint}}"}, 6, good=-90),
    Panel("Pushed groups", stat.Panel, "short", {query("sergas_groups"): "groups"}, 6),
    Panel("CPU over time", timeseries.Panel, "percent", {query("system_cpu_usage_percent"): "in use"}, 12),
    Panel(
        "Load",
        timeseries.Panel,
        "short",
        {query("system_load1"): "1 min", query("system_load5"): "5 min", query("system_cpu_cores"): "CPUs"},
        12,
    ),
    Panel("Memory over time", timeseries.Panel, "bytes", {query("system_memory_available_bytes"): "available"}, 12),
    Panel(
        "Network",
        timeseries.Panel,
        "Bps",
        {
            'rate(system_network_receive_bytes_total{job=~"$job"}[$__rate_interval])': "{{interface}} in",
            'rate(system_network_transmit_bytes_total{job=~"$job"}[$__rate_interval])': "{{interface}} out",
        },
        12,
    ),
    Panel("Collectors", stat.Panel, "bool_on_off", {query("sergas_collector_up"): "{{collector}}"}, 12, good=1),
    Panel(
        "Pushes",
        timeseries.Panel,
        "ops",
        {'rate(sergas_pushes_total{job=~"$job"}[$__rate_interval])': "{{result}}"},
        6,
    ),
    Panel("Size of the store", timeseries.Panel, "bytes", {query("sergas_store_size_bytes"): "file"}, 6),
)
# Name of the file → title, panels, and the metric that knows the jobs.
DASHBOARDS = {
    "tests": ("Tests", TESTS, "sergas_tests"),
    "health": ("Health", HEALTH, "sergas_check_status"),
    "system": ("System", SYSTEM, "system_cpu_usage_percent"),
}


def build(name: str) -> dict[str, Any]:
    """Return a dashboard as Grafana imports it."""
    title, panels, metric = DASHBOARDS[name]
    builder = (
        dashboard.Dashboard(f"sergas: {title}")
        .uid(f"sergas-{name}")
        .tags(["sergas"])
        .editable()
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .refresh("30s")
        .time("now-6h", "now")
        .with_variable(dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"))
        .with_variable(
            dashboard.QueryVariable("job")
            .label("Job")
            .datasource(DATASOURCE)
            .query(f"label_values({metric}, job)")
            .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
            .include_all(True)  # noqa: FBT003  the builder's own way
            .multi(True)  # noqa: FBT003
        )
    )
    for number, panel in enumerate(panels, start=1):
        builder = builder.with_panel(_panel(panel, number))
    encoded = JSONEncoder(sort_keys=True, indent=2).encode(builder.build())
    made: dict[str, Any] = json.loads(encoded)
    return made


def _panel(panel: Panel, number: int) -> Builder:
    made = panel.kind().id(number).title(panel.title).description(panel.description).datasource(DATASOURCE)
    made = made.unit(panel.unit).span(panel.width).height(8)
    if isinstance(made, stat.Panel):
        made = made.color_mode(BigValueColorMode.BACKGROUND if panel.good is not None else BigValueColorMode.NONE)
    if panel.good is not None:
        made = made.thresholds(_thresholds(panel.good)).color_scheme(_by_thresholds())
    is_instant = not isinstance(made, timeseries.Panel)
    for place, (expression, legend) in enumerate(panel.asks.items()):
        target = prometheus.Dataquery().expr(expression).legend_format(legend).ref_id(chr(ord("A") + place))
        made = made.with_target(target.instant() if is_instant else target.range())
    return made


def _thresholds(good: float) -> dashboard.ThresholdsConfig:
    low, high = ("red", "green") if good > 0 else ("green", "red")
    steps = [Threshold(value=None, color=low), Threshold(value=abs(good), color=high)]
    return dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)


def _by_thresholds() -> dashboard.FieldColor:
    return dashboard.FieldColor().mode(FieldColorModeId.THRESHOLDS)


def write(directory: Path) -> None:
    """Write all dashboards into ``directory``."""
    for name in DASHBOARDS:
        text = json.dumps(build(name), indent=2, sort_keys=True) + "\n"
        (directory / f"{name}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(HERE)
