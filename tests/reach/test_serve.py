"""What keys of ``[serve]`` do that nothing else proves by the configuration: seen from outside."""

from __future__ import annotations

import json
import signal
import socket
from pathlib import Path

import pytest

from tests.servers.process import until
from tests.servers.sidecar import start
from tests.sidecar.conftest import ask

pytestmark = pytest.mark.integration

OBSERVED = (
    *("listen", "store", "allowed_hosts", "external_url", "log_level", "log_format", "drain_timeout"),
    *("runs_kept", "runs_age_days", "max_run_mib"),
)
CONFIG = """
[serve]
listen = "127.0.0.1:{port}"
store = "kept/here.db"
allowed_hosts = ["ci.example.org"]
external_url = "https://outside.example.org/sergas"
log_level = "error"
log_format = "json"
drain_timeout = "200ms"
runs_kept = 1
max_run_mib = 1
"""


def run(run_id: str, padding: int = 0) -> bytes:
    test = {"name": "a", "status": "passed", "duration": 1, "message": "x" * padding}
    results = {"tool": {"name": "pytest"}, "summary": {}, "tests": [test]}
    return json.dumps({"reportFormat": "CTRF", "runId": run_id, "results": results}).encode()


def test_each_key_has_its_effect(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "kept").mkdir()
    (tmp_path / "sergas.toml").write_text(CONFIG.format(port=port), encoding="utf-8")
    log, url = tmp_path / "serve.log", f"http://127.0.0.1:{port}"
    with start(tmp_path, (), log, {}) as process:
        until(lambda: f"listening on {url}" in log.read_text("utf-8"), "it listens where it should", log)
        assert (tmp_path / "kept" / "here.db").is_file()
        for host, status in (("ci.example.org", 200), ("outside.example.org", 200), ("other.example.org", 421)):
            assert ask(url, "/-/healthy", headers={"Host": host}).status == status
        json_type = {"Content-Type": "application/json"}
        for run_id in ("r1", "r2"):
            assert ask(url, "/api/runs", "POST", headers=json_type, body=run(run_id)).status == 201
        assert [found["id"] for found in ask(url, "/api/runs").json["runs"]] == ["r2"]
        assert ask(url, "/api/runs", "POST", headers=json_type, body=run("r3", 2 * 1024 * 1024)).status == 413

        process.send_signal(signal.SIGHUP)  # what it says of that is no error
        (tmp_path / "sergas.toml").write_text("[serve]\nlog_level = 1\n", encoding="utf-8")
        process.send_signal(signal.SIGHUP)
        until(lambda: "log_level = 1" in log.read_text("utf-8"), "it says what is wrong", log)
        _, *lines = log.read_text("utf-8").splitlines()
        assert {json.loads(line)["level"] for line in lines} == {"ERROR"}

        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(
                b"POST /api/runs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                b"Content-Length: 10\r\nExpect: 100-continue\r\n\r\n"
            )
            assert client.recv(1_000).startswith(b"HTTP/1.1 100 ")
            process.send_signal(signal.SIGTERM)
            process.wait(15)  # by default it has 20 seconds for requests in progress, and 60 for their bodies


def test_run_that_is_too_old_is_forgotten(tmp_path: Path) -> None:
    (tmp_path / "sergas.toml").write_text("[serve]\nruns_age_days = '1ms'\nstore = ':memory:'\n", encoding="utf-8")
    log = tmp_path / "serve.log"
    with start(tmp_path, ("--listen", "127.0.0.1:0"), log, {}):
        until(lambda: "listening on " in log.read_text("utf-8"), "it listens", log)
        url = log.read_text("utf-8").split("listening on ")[1].split()[0]
        for run_id in ("r1", "r2"):
            assert ask(url, "/api/runs", "POST", headers={"Content-Type": "application/json"}, body=run(run_id)).status
        assert "r1" not in [found["id"] for found in ask(url, "/api/runs").json["runs"]]
