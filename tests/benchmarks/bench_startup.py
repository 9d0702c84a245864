"""What the plugin adds to the start of a run: one test, from the installed wheel, over the same with ``-p no:sergas``.

Twice each: with the caches filled, as at a desk, and without pytest's rewritten modules and without a place for them,
as in a container whose image was built by pip. Instructions are steadier than CPU time on a machine with company, so
both are shown and bounded, CPU with what it scatters.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import pytest

from tests.benchmarks.runs import environment, show
from tests.servers import tools

pytestmark = [pytest.mark.performance(timeout=3000)]

ROOT = Path(__file__).parents[2]
PAIRS = 15
# A median of so few pairs still differs by this share from one time to the next when others use the machine.
SCATTER = 0.03

UNTYPED = "def test_one():\n    pass\n"
TYPED = f"import pytest\n\n\n@pytest.mark.unit\n{UNTYPED}"
INI = "[pytest]\nmarkers = unit\nasyncio_default_fixture_loop_scope = function\n"
CONFIGURATION = 'project = "shop"\ntimeout = 60\n\n[types.integration]\nretries = 1\nretry_on = ["ConnectionError"]\n'
WITHOUT = ("-p", "no:sergas")


@dataclass(frozen=True, slots=True)
class Installed:
    """An environment with the wheel, where pytest is run."""

    python: Path
    cached: bool
    environ: dict[str, str] = field(default_factory=environment)

    def prepare(self, directory: Path) -> None:
        """Fill the caches, or empty them for good."""
        for path in self.python.parents[1].rglob("*-pytest-*.pyc"):
            path.unlink()
        if self.cached:
            for arguments in ((), WITHOUT):
                self.run(directory, *arguments)
        else:
            self.environ["PYTHONDONTWRITEBYTECODE"] = "1"

    def run(self, directory: Path, *arguments: str, before: tuple[str, ...] = ()) -> float:
        """Return the CPU seconds of a run with all its workers."""
        command = [*before, str(self.python), "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
        with subprocess.Popen(command, cwd=directory, env=self.environ, stdout=subprocess.DEVNULL) as process:
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0, command
        return usage.ru_utime + usage.ru_stime

    def instructions(self, directory: Path, *arguments: str) -> int:
        """Return the instructions of a run with all its workers, as valgrind counts them."""
        valgrind = str(tools.find("valgrind", "apt-get install valgrind"))
        logs = directory / "logs"
        logs.mkdir(exist_ok=True)
        tool = ("--tool=cachegrind", "--cache-sim=no", "--trace-children=yes", "--cachegrind-out-file=/dev/null")
        self.run(directory, *arguments, before=(valgrind, *tool, f"--log-file={logs}/%p"))
        found = [re.search(r"I +refs: +([\d,]+)", path.read_text()) for path in logs.iterdir()]
        for path in logs.iterdir():
            path.unlink()
        assert all(found)
        return sum(int(match[1].replace(",", "")) for match in found if match is not None)


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a new environment with the wheel and what it requires."""
    directory = tmp_path_factory.mktemp("installed")
    build: list[str | Path] = [sys.executable, "-m", "build", "--wheel", "--outdir", directory, ROOT]
    subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
    (wheel,) = directory.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", directory / "env"], check=True)
    found = directory / "env" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "pip", "-q", "--python", found, "install", wheel], check=True)
    return found


@pytest.fixture(params=[True, False], ids=["caches filled", "no caches"])
def installed(request: pytest.FixtureRequest, python: Path) -> Installed:
    return Installed(python, cached=request.param)


@pytest.mark.parametrize(
    ("text", "configuration", "workers", "bound"),
    [
        pytest.param(UNTYPED, None, (), 1.05, id="untyped"),
        pytest.param(TYPED, CONFIGURATION, (), 1.13, id="typed"),
        pytest.param(UNTYPED, None, ("-n2",), 1.08, id="untyped, two workers"),
        pytest.param(TYPED, CONFIGURATION, ("-n2",), 1.14, id="typed, two workers"),
    ],
)
def test_start_of_a_run_costs_little_more_than_without_the_plugin(
    installed: Installed,
    tmp_path: Path,
    text: str,
    configuration: str | None,
    workers: tuple[str, ...],
    bound: float,
    request: pytest.FixtureRequest,
) -> None:
    (tmp_path / "test_one.py").write_text(text)
    (tmp_path / "pytest.ini").write_text(INI)
    if configuration is not None:
        (tmp_path / "sergas.toml").write_text(configuration)
    installed.prepare(tmp_path)

    plain, loaded = _alternate(lambda *arguments: installed.run(tmp_path, *workers, *arguments))
    few, more = (installed.instructions(tmp_path, *workers, *arguments) for arguments in (WITHOUT, ()))

    show(
        f"{request.node.callspec.id}: medians of {PAIRS} pairs (bound {bound})",
        ("", "instructions", "CPU ms"),
        ("without the plugin", f"{few / 1e6:.1f} M", f"{1000 * plain:.1f}"),
        ("with the plugin", f"{more / 1e6:.1f} M", f"{1000 * loaded:.1f}"),
        ("ratio", f"{more / few:.3f}", f"{loaded / plain:.3f}"),
    )
    assert more / few <= bound
    assert loaded / plain <= bound + SCATTER


def _alternate(run: Callable[..., float]) -> tuple[float, float]:
    """Return the median CPU seconds without and with the plugin, of runs in turns."""
    found: tuple[list[float], list[float]] = ([], [])
    for _ in range(PAIRS):
        for arguments, costs in zip((WITHOUT, ()), found, strict=True):
            costs.append(run(*arguments))
    return median(found[0]), median(found[1])
