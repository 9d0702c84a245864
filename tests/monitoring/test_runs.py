"""A run of a system is a run: judged, notified and kept like one that was pushed, with the system's own settings."""

from __future__ import annotations

import asyncio
import json
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest

from pytest_sergas import (
    ComprehensiveMonitoringSystem,
    DatabaseHealthCheck,
    MonitorType,
    TestRunner,
    TestSuite,
    TestType,
)
from tests.servers.gateways import Answer, Answering, answering

pytestmark = pytest.mark.integration

SMOKE = "import pytest\n\n@pytest.mark.smoke\ndef test_shop(): assert 0\n"


@pytest.fixture(autouse=True)
def _nothing_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SLACK_WEBHOOK_URL", "ALERT_WEBHOOK_URL", "SMTP_HOST", "PROMETHEUS_GATEWAY"):
        monkeypatch.delenv(name, raising=False)


def project(root: Path, **files: str) -> Path:
    (root / "pytest.toml").write_text("[pytest]\n", encoding="utf-8")
    for name, text in files.items():
        (root / f"{name}.py").write_text(textwrap.dedent(text), encoding="utf-8")
    return root


def system(root: Path, **config: Any) -> ComprehensiveMonitoringSystem:
    return ComprehensiveMonitoringSystem({"root": root, "max_test_workers": 1, **config})


async def arrives(server: Answering) -> str:
    async with asyncio.timeout(60):
        while not server.received:  # noqa: ASYNC110  another thread's
            await asyncio.sleep(0.02)
    return server.received[0].body.decode()


async def test_failing_smoke_test_notifies_slack_whatever_the_branch(tmp_path: Path) -> None:
    with answering(lambda _: Answer(body="ok")) as slack:
        monitoring = system(project(tmp_path, test_shop=SMOKE), slack_webhook_url=f"{slack.url}/services/x")
        async with monitoring.lifespan():
            await monitoring.run_comprehensive_tests()
            text = await arrives(slack)
            status = await monitoring.get_system_status()
            metrics = await asyncio.to_thread(monitoring.metrics_collector.collect_metrics)
            runs = await monitoring.within(lambda engine: engine.runs.newest(10))

    assert "TestsFailed" in text
    assert status["tests"] == {"total": 1, "success_rate": 0.0, "by_status": {"failed": 1}}
    assert status["alerts"]["by_level"]["critical"] == 1
    assert re.search(
        r'^sergas_tests\{.*outcome="failed".*type="smoke".*\} 1$', status["metrics"]["prometheus"], re.MULTILINE
    )
    failed = [one for one in metrics if one.name == "sergas_tests" and one.labels["outcome"] == "failed"]
    assert [(one.value, one.labels["type"], one.metric_type) for one in failed] == [
        (1.0, "smoke", MonitorType.APPLICATION)
    ]
    assert [run.total for run in runs] == [1]


async def test_run_before_the_start_is_kept_when_it_starts_and_so_is_one_of_the_runner(tmp_path: Path) -> None:
    monitoring = system(project(tmp_path, test_shop=SMOKE))
    await monitoring.test_runner.run_suite(TestType.SMOKE)
    async with monitoring.lifespan():
        status = await monitoring.get_system_status()

    assert status["tests"] == {"total": 1, "success_rate": 0.0, "by_status": {"failed": 1}}


FLAKY = """
    import pathlib
    import pytest

    @pytest.mark.integration
    def test_second_time():
        tried = pathlib.Path("tried")
        first = not tried.exists()
        tried.touch()
        assert not first

    @pytest.mark.unit
    def test_never(): assert 0
"""


@pytest.mark.parametrize("written", ["program", "file"])
async def test_settings_of_runs_reach_pytest(tmp_path: Path, written: str) -> None:
    root = project(tmp_path, test_shop=FLAKY)
    with answering() as gateway:
        settings = {"project": "shop", "push": gateway.url, "ctrf": "out.ctrf.json"}
        types = {"integration": {"retries": 2}}
        if written == "file":
            lines = [f'{key} = "{value}"' for key, value in settings.items()]
            (root / "sergas.toml").write_text("\n".join((*lines, "[types.integration]", "retries = 2", "")), "utf-8")
            found = await system(root).run_comprehensive_tests()
        else:
            # A general setting does not come before that of a type.
            found = await system(root, **settings, types=types, test_retry_count=0).run_comprehensive_tests()

    assert found["summary"]["by_status"] == {"flaky": 1, "failed": 1}
    tests = {test["name"]: test for test in json.loads((root / "out.ctrf.json").read_text("utf-8"))["results"]["tests"]}
    assert tests["test_second_time"]["retries"] == 1
    assert sorted(request.path for request in gateway.received) == [
        "/metrics/job/shop/type/integration",
        "/metrics/job/shop/type/unit",
    ]


async def test_program_comes_before_the_file_and_leaves_the_rest_of_it(tmp_path: Path) -> None:
    root = project(tmp_path, test_shop=FLAKY)
    (root / "sergas.toml").write_text(
        'project = "file"\nctrf = "file.json"\n[types.integration]\nretries = 1\ntimeout = 60\n', "utf-8"
    )
    monitoring = system(root, project="program", types={"integration": {"retries": 0}})
    await monitoring.run_comprehensive_tests()

    document = json.loads((root / "file.json").read_text("utf-8"))
    assert monitoring.test_runner.latest[0].run.project == "program"
    assert document["results"]["summary"]["failed"] == 2


async def test_what_a_run_returns_is_data_for_json(tmp_path: Path) -> None:
    found = await TestRunner(1, root=project(tmp_path, test_shop=SMOKE)).run_comprehensive_tests()

    assert json.loads(json.dumps(found)) == found
    [test] = found["results"]["all"]
    assert (test["name"], test["type"], test["status"]) == ("test_shop", "smoke", "failed")


async def test_coverage_is_what_all_suites_covered_together(tmp_path: Path) -> None:
    root = project(
        tmp_path,
        shop="def a():\n    return 1\n\ndef b():\n    return 2\n",
        test_shop="""
            import pytest
            import shop

            @pytest.mark.unit
            def test_a(): assert shop.a()

            @pytest.mark.smoke
            def test_b(): assert shop.b()

            @pytest.mark.smoke
            def test_a_again(): assert shop.a()
        """,
    )
    runner = TestRunner(1, root=root, arguments=("-o", "pythonpath=."))
    runner.register_suite(TestSuite("Unit", TestType.UNIT, coverage=["shop"]))
    runner.register_suite(TestSuite("Smoke", TestType.SMOKE, coverage=["shop"]))

    found = await runner.run_comprehensive_tests()

    assert [results.coverage_percent for results in runner.latest] == [75.0, 100.0]
    assert found["summary"]["coverage"] == 100.0


NEEDS = """
    import pytest
    from pytest_sergas import integration_test

    @integration_test(dependencies=["{name}"])
    def test_needs(): pass

    @pytest.mark.unit
    def test_needs_nothing(): pass
"""


@pytest.mark.parametrize(
    ("name", "provider", "outcome"),
    [
        pytest.param(
            "shop-db", lambda file: DatabaseHealthCheck(f"sqlite:///{file}", name="shop-db"), "passed", id="name"
        ),
        pytest.param("database", lambda file: DatabaseHealthCheck(f"sqlite:///{file}"), "passed", id="role"),
        pytest.param("stock", "good", "passed", id="function"),
        pytest.param("stock", "bad", "error", id="function that fails"),
        pytest.param("nothing", None, "error", id="nothing"),
    ],
)
async def test_provider_counts_as_a_check_for_dependencies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, provider: Any, outcome: str
) -> None:
    import sqlite3

    monkeypatch.setenv("CI", "true")
    file = tmp_path / "shop.db"
    sqlite3.connect(file).close()
    monitoring = system(project(tmp_path, test_shop=NEEDS.format(name=name)))

    def stock() -> bool:
        return bool(provider == "good")

    stock.__qualname__ = "stock"
    if provider is not None:
        monitoring.health_checker.add_provider(stock if isinstance(provider, str) else provider(file))

    found = await monitoring.run_comprehensive_tests()

    outcomes = {test["name"]: test["rawStatus"] for test in found["results"]["all"]}
    assert outcomes == {"test_needs": outcome, "test_needs_nothing": "passed"}
