"""What ``make demo`` shows: the ten types of test, run, recorded, summarised, and pushed to a real Pushgateway."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.servers.pushgateway import Pushgateway, pushgateway

ROOT = Path(__file__).parents[1]
SUITE = ROOT / "examples" / "ten_types"
BUILD = ROOT / "build" / "demo"
FILES = {"--sergas-ctrf": "run.ctrf.json", "--sergas-markdown": "run.md", "--sergas-textfile": "sergas.prom"}


def main(build: Path = BUILD) -> int:
    """Run the demo; return the exit status of its tests, or 1 if something that it promises is missing.

    Args:
        build: where the files go.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    build.mkdir(parents=True, exist_ok=True)
    files = {option: build / name for option, name in FILES.items()}
    for file in files.values():
        file.unlink(missing_ok=True)
    try:
        with tempfile.TemporaryDirectory() as directory, pushgateway(Path(directory)) as gateway:
            status = _run_tests(gateway.url, files)
            return status or _read_back(gateway) or _list_files(list(files.values()))
    except pytest.skip.Exception as missing:
        return _complain(str(missing))
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _run_tests(url: str, files: Mapping[str, Path]) -> int:
    options = [f"{option}={os.path.relpath(file, SUITE)}" for option, file in files.items()]
    options.append(f"--sergas-push={url}")
    print(f"$ cd {SUITE.relative_to(ROOT)}")
    print(" \\\n      ".join(["$ pytest -n 2 --no-header", *map(shlex.quote, options)]), flush=True)
    # Whatever the surrounding shell says to pytest was not meant for the demo.
    environ = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
    command = [sys.executable, "-m", "pytest", "-n", "2", "--no-header", *options]
    return subprocess.run(command, cwd=SUITE, env=environ, check=False).returncode


def _read_back(gateway: Pushgateway) -> int:
    samples = gateway.samples
    shown = [f"{series} {value:g}" for series, value in samples.items() if _interesting(series) and value]
    print(f"\nThe Pushgateway at {gateway.url} now has {len(samples)} series in {len(gateway.groups)} groups, one")
    print("for each type. Tests by type and outcome, read back from its /metrics, without the zeros:\n")
    print("\n".join(f"  {line}" for line in shown))
    return 0 if shown else _complain("the Pushgateway has none of the metrics")


def _interesting(series: str) -> bool:
    return series.startswith("sergas_tests{")


def _list_files(files: Sequence[Path]) -> int:
    print("\nFiles written:\n")
    absent = [str(file) for file in files if not file.exists()]
    for file in files:
        if file.exists():
            print(f"  {os.path.relpath(file):<26} {file.stat().st_size:>7,} bytes")
    return _complain(f"not written: {', '.join(absent)}") if absent else 0


def _complain(text: str) -> int:
    print(f"make demo: {text}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
