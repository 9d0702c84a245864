"""``sergas status`` against a running sidecar, and against what is none."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pytest_sergas.cli.status import to_lines
from tests.servers.gateways import Answer, answering, refusing
from tests.servers.sidecar import Sidecar, sidecar

pytestmark = pytest.mark.integration


def status(directory: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest_sergas", "status", *arguments]
    return subprocess.run(command, cwd=directory, env=environ, capture_output=True, text=True, check=False, timeout=60)


def document(**fields: Any) -> dict[str, Any]:
    return {
        "timestamp": "2026-01-31T12:00:00Z",
        "health": {"overall": {"status": "healthy", "message": "all well"}, "individual": {}},
        "alerts": {"total_active": 0, "by_level": {}, "by_source": {}},
        "metrics": {"latest": [], "prometheus": ""},
        "tests": {"total": 0, "success_rate": None, "by_status": {}},
        **fields,
    }


def test_running_sidecar_is_summarised(running: Sidecar, tmp_path: Path) -> None:
    done = status(tmp_path, "--url", running.url)

    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert re.fullmatch(rf"sidecar  {running.url} at \d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\dZ", lines[0])
    assert lines[1].startswith("health   healthy: Overall system health: healthy")
    assert "alerts   0 active" in lines
    assert "tests    no run yet; pytest --sergas-sidecar URL sends one" in lines


def test_json_is_what_the_sidecar_answers(running: Sidecar, tmp_path: Path) -> None:
    done = status(tmp_path, "--url", running.url, "--json")

    assert list(json.loads(done.stdout)) == ["timestamp", "health", "alerts", "metrics", "tests"]


def test_address_comes_from_the_configuration(running: Sidecar, tmp_path: Path) -> None:
    (tmp_path / "sergas.toml").write_text(f'sidecar = "{running.url}"\n', encoding="utf-8")

    assert status(tmp_path).returncode == 0


def test_token_comes_from_the_environment(tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text("t0k3n", encoding="utf-8")
    with sidecar(tmp_path, config='[serve]\ntoken_file = "tokens"\n') as running:
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        (elsewhere / "sergas.toml").touch()
        without = status(elsewhere, "--url", running.url)
        wrong = status(elsewhere, "--url", running.url, SERGAS_PUSH_TOKEN="other")  # noqa: S106  none
        done = status(elsewhere, "--url", running.url, SERGAS_PUSH_TOKEN="t0k3n")  # noqa: S106  known to this sidecar alone
        typed = status(elsewhere, "--url", running.url, "--token-file", "../tokens", SERGAS_PUSH_TOKEN="other")  # noqa: S106  none
        configured = status(tmp_path, "--url", running.url)

    assert without.stderr == (
        f"sergas: {running.url}: it wants credentials (401): --token-file, or --username and --password-file\n"
    )
    assert wrong.stderr == f"sergas: {running.url}: it does not accept these credentials (401)\n"
    assert [ran.returncode for ran in (without, wrong, done, typed, configured)] == [2, 2, 0, 0, 0]


def test_nobody_there_is_said(tmp_path: Path) -> None:
    with refusing() as url:
        done = status(tmp_path, "--url", url)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"sergas: {url}: connection refused; sergas serve starts a sidecar\n"


@pytest.mark.parametrize("body", ["", "{}", "[1]", "<html>"])
def test_another_server_is_said(body: str, tmp_path: Path) -> None:
    with answering(lambda _: Answer(200, body)) as server:
        done = status(tmp_path, "--url", server.url)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"sergas: {server.url}: what it answers is not the status of a sidecar; is it another server?\n"
    )


def test_summary_fits_80_columns_and_brings_no_control_sequences() -> None:
    individual = {
        "database\x1b[31m": {"status": "unhealthy", "message": "x" * 200},
        "cache": {"status": "healthy", "message": "fine\nand a line of its own"},
    }
    made = document(
        health={"overall": {"status": "unhealthy", "message": "1 of 2"}, "individual": individual},
        alerts={"total_active": 3, "by_level": {"critical": 1, "warning": 2}, "by_source": {}},
        tests={"total": 50, "success_rate": 96.0, "by_status": {"passed": 48, "failed": 2}},
    )

    lines = list(to_lines("http://127.0.0.1:8000", made))

    assert lines == [
        "sidecar  http://127.0.0.1:8000 at 2026-01-31T12:00:00Z",
        "health   unhealthy: 1 of 2",
        "         cache: healthy, fine and a line of its own",
        f"         database: unhealthy, {'x' * 47}...",
        "alerts   3 active (1 critical, 2 warning)",
        "tests    50 in the last run, 96.0% passed (48 passed, 2 failed)",
        "metrics  0 values of its own",
    ]
    assert max(map(len, lines)) == 80
