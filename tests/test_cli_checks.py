"""``sergas checks``: the table, the JSON, and the exit status for scripts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_sergas import cli
from pytest_sergas.cli.checks import to_lines
from pytest_sergas.core.health import CheckResult, HealthStatus, overall
from tests.servers import gateways

pytestmark = pytest.mark.integration

DISK = '[[checks]]\ntype = "system"\nname = "disk"\ncpu_unhealthy = 100\ncpu_degraded = 100\n'


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fine.py").write_text("def check(): return '12 in stock'\ndef few(): return False\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def function(name: str, call: str, depends_on: str = "") -> str:
    text = f'[[checks]]\ntype = "python"\nname = "{name}"\ncall = "fine:{call}"\n'
    return text + (f'depends_on = ["{depends_on}"]\n' if depends_on else "")


def write(text: str) -> None:
    Path("sergas.toml").write_text(text, encoding="utf-8")


def lines(*results: CheckResult) -> list[str]:
    return list(to_lines({result.component: result for result in results}, overall(results)))


def test_everything_healthy_ends_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    write(function("stock", "check"))

    assert cli.main(["checks"]) == 0
    head, row, whole = capsys.readouterr().out.splitlines()
    assert head == "check              status        time  message"
    assert row.startswith("stock              healthy  ")
    assert row.endswith(" ms  12 in stock")
    assert whole == "Overall system health: healthy (1/1 components healthy)"


def test_something_unhealthy_ends_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    write(function("stock", "check") + function("shop", "few"))

    assert cli.main(["checks"]) == 1
    assert "shop               unhealthy" in capsys.readouterr().out


def test_check_alone_brings_what_it_depends_on(capsys: pytest.CaptureFixture[str]) -> None:
    write(function("page", "check", "shop") + function("shop", "few") + function("stock", "check"))

    assert cli.main(["checks", "page"]) == 1
    out = capsys.readouterr().out
    assert "page               unknown" in out
    assert "depends on shop, which is unhealthy" in out
    assert "stock" not in out


NONE = "sergas: no checks; [[checks]] in the configuration says what to check, in this directory or above\n"


@pytest.mark.parametrize("arguments", [(), ("--json",), ("xyz",)])
def test_nothing_to_check_is_not_healthy(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]) -> None:
    assert cli.main(["checks", *arguments]) == 2
    assert capsys.readouterr() == ("", NONE)


def test_configuration_elsewhere_is_used(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "other").mkdir()
    (here / "other" / "sergas.toml").write_text(function("stock", "check"), encoding="utf-8")

    assert cli.main(["checks", "--config", "other/sergas.toml"]) == 0
    assert "12 in stock" in capsys.readouterr().out


def test_json_is_for_other_programs(capsys: pytest.CaptureFixture[str]) -> None:
    write(function("stock", "check"))

    cli.main(["checks", "--json"])
    document = json.loads(capsys.readouterr().out)
    assert document["overall"]["status"] == "healthy"
    assert document["overall"]["details"]["total_checks"] == 1
    stock = document["checks"]["stock"]
    assert stock.pop("response_time") > 0
    assert stock == {"status": "healthy", "component": "stock", "message": "12 in stock", "details": {}}


@pytest.mark.parametrize("arguments", [["checks"], ["checks", "--json"], ["config"], ["config", "--json"]])
def test_secrets_appear_nowhere(arguments: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    with gateways.refusing() as url:
        port = url.rpartition(":")[2]
        write(
            f'[[checks]]\ntype = "postgresql"\nurl = "postgresql://shop:hunter2@127.0.0.1:{port}/shop"\n'
            f'[[checks]]\ntype = "redis"\nurl = "redis://:hunter2@127.0.0.1:{port}/0"\n'
            f'[[checks]]\ntype = "http"\nurl = "http://u:hunter2@127.0.0.1:{port}/?token=hunter2"\n'
            'headers = {"X-Token" = "hunter2"}\n'
        )
        cli.main(arguments)

    captured = capfd.readouterr()
    assert "postgresql" in captured.out
    assert "hunter2" not in captured.out + captured.err


def test_unknown_check_is_named_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    write(function("stock", "check"))

    assert cli.main(["checks", "stok"]) == 2
    assert cli.main(["checks", "xyz"]) == 2
    assert capsys.readouterr().err == (
        "sergas: there is no check 'stok'; did you mean 'stock'?\nsergas: there is no check 'xyz'; there are: 'stock'\n"
    )


def test_faults_of_the_options_end_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    write('[[checks]]\ntype = "tcp"\n')

    assert cli.main(["checks"]) == 2
    assert capsys.readouterr().err == (
        "sergas: 2 faults in the configuration\n"
        '  checks.tcp: host is missing; such as host = "127.0.0.1"\n'
        "  checks.tcp: port is missing; such as port = 5672\n"
    )


def test_table_has_80_columns_and_why_something_is_not_well_stands_below_it() -> None:
    long = "x" * 200
    table = lines(
        CheckResult("fine", HealthStatus.HEALTHY, long, duration_s=0.0123),
        CheckResult("a-name-that-is-too-long", HealthStatus.UNHEALTHY, long, duration_s=61.04),
    )

    assert table[1] == f"fine               healthy      12 ms  {'x' * 38}..."
    assert table[2] == f"...hat-is-too-long unhealthy   61.0 s  {'x' * 38}..."
    assert table[3] == f"  {long}"
    assert max(len(line) for line in (*table[:3], table[4])) <= 80
