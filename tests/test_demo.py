"""``make demo``: what it shows, and that it leaves nothing running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.test_examples import ENVIRON, EXAMPLES

pytestmark = pytest.mark.integration


def test_demo_ends_with_the_summary_the_pushed_metrics_and_the_files(tmp_path: Path) -> None:
    command: list[str | Path] = [sys.executable, EXAMPLES / "demo.py", tmp_path]
    done = subprocess.run(command, cwd=tmp_path, env=ENVIRON, capture_output=True, text=True, check=False, timeout=100)

    assert done.returncode == 0, done.stdout + done.stderr
    at = [
        done.stdout.index(text)
        for text in (
            "= tests by type =",
            "series in 10 groups",
            'outcome="flaky",type="integration"} 1\n',
            "/api/runs has it:",
            " 1 flaky, {'passed': ",
            "Files written:",
            "\n  run.ctrf.json ",
            "\n  run.md ",
            "\n  sergas.prom ",
        )
    ]
    assert at == sorted(at)


def test_demo_stops_its_sidecar_on_ctrl_c(tmp_path: Path) -> None:
    command: list[str | Path] = [sys.executable, EXAMPLES / "demo.py", tmp_path]
    with subprocess.Popen(command, env=ENVIRON, stdout=subprocess.PIPE, text=True, start_new_session=True) as demo:
        assert demo.stdout is not None
        url = (
            next(line for line in demo.stdout if "--sergas-sidecar=" in line).partition("--sergas-sidecar=")[2].strip()
        )
        with urllib.request.urlopen(f"{url}/-/ready", timeout=10) as answer:
            assert answer.status == 200
        os.killpg(demo.pid, signal.SIGINT)
        demo.stdout.read()

    assert demo.returncode == 128 + signal.SIGINT
    with pytest.raises(urllib.error.URLError, match="refused"):
        urllib.request.urlopen(f"{url}/-/ready", timeout=10)
