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

from pytest_sergas.core.records import TestType
from tests.servers.process import until
from tests.servers.sidecar import sidecar
from tests.sidecar.conftest import ask
from tests.sidecar.pages.html import visit
from tests.sidecar.pages.screenshots import PICTURES, RUNS, options_of, take
from tests.test_examples import ENVIRON, EXAMPLES

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def printed(build: Path) -> str:
    """What a demo prints that was started in ``build``, and leaves its files there."""
    command: list[str | Path] = [sys.executable, EXAMPLES / "demo.py", build]
    done = subprocess.run(command, cwd=build, env=ENVIRON, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_demo_ends_with_the_summary_the_pushed_metrics_and_the_files(printed: str) -> None:
    at = [
        printed.index(text)
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
            " serve --config ",
        )
    ]
    assert at == sorted(at)


def test_command_that_the_demo_names_shows_its_run_and_its_checks(build: Path, printed: str) -> None:
    with sidecar(build, *options_of(printed)) as running:
        until(lambda: "not checked yet" not in ask(running.url, "/").text, "the checks have run", running.log)
        page = visit(running, "/")

    assert {card.attributes["aria-label"] for card in page.section("Tests").all("section")} == set(TestType)
    health = [(row.all("h3")[0].text, row.all("span")[0].text) for row in page.section("Health").all("li")]
    assert health == [("catalogue", "healthy"), ("service", "healthy")]


def test_pictures_of_the_readme_are_taken_of_the_demo(build: Path, printed: str, tmp_path: Path) -> None:
    options = options_of(printed)
    take(build, printed, tmp_path)

    assert options[0::2] == ["--config", "--store"]
    assert (build / options[1]).resolve() == EXAMPLES / "ten_types" / "pyproject.toml"
    assert (build / options[3]).resolve().parent == build.resolve()
    taken = {picture.name: picture.read_bytes()[:4] for picture in tmp_path.iterdir()}
    assert taken == {picture.name: b"\x89PNG" for picture in PICTURES.iterdir()}


def test_readme_says_of_how_many_demos_its_picture_is() -> None:
    assert f"![The overview after make demo, {RUNS} times]" in (EXAMPLES.parent / "README.md").read_text("utf-8")


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
