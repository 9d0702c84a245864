"""What ``make demo`` shows: the ten types of test, run, recorded, summarised, and sent to the sidecar."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.servers.process import get
from tests.servers.sidecar import Sidecar, sidecar

ROOT = Path(__file__).parents[1]
SUITE = ROOT / "examples" / "ten_types"
CONFIG = SUITE / "pyproject.toml"
BUILD = ROOT / "build" / "demo"
STORE = "sergas.db"
FILES = {"--sergas-ctrf": "run.ctrf.json", "--sergas-markdown": "run.md", "--sergas-textfile": "sergas.prom"}


def main(build: Path = BUILD) -> int:
    """Run the demo; return the exit status of its tests, or 1 if something that it promises is missing.

    Args:
        build: where the files go, and the sidecar's store, to which each demo adds a run.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    build.mkdir(parents=True, exist_ok=True)
    files = {option: build / name for option, name in FILES.items()}
    for file in files.values():
        file.unlink(missing_ok=True)
    try:
        with sidecar(build, "--config", str(CONFIG), "--store", str(build.absolute() / STORE)) as running:
            status = _run_tests(running.url, files)
            status = status or _read_back(running) or _list_files(list(files.values()))
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except AssertionError as error:
        return _complain(str(error).strip())
    _show_the_way(build)
    return status


def _run_tests(url: str, files: Mapping[str, Path]) -> int:
    options = [f"{option}={os.path.relpath(file, SUITE)}" for option, file in files.items()]
    options.append(f"--sergas-sidecar={url}")
    print(f"$ cd {SUITE.relative_to(ROOT)}")
    print(" \\\n      ".join(["$ pytest -n 2 --no-header", *map(shlex.quote, options)]), flush=True)
    # Whatever the surrounding shell says to pytest was not meant for the demo.
    environ = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
    command = [sys.executable, "-m", "pytest", "-n", "2", "--no-header", *options]
    return subprocess.run(command, cwd=SUITE, env=environ, check=False).returncode


def _read_back(running: Sidecar) -> int:
    pushed = [line for line in get(f"{running.url}/metrics").splitlines() if 'job="shop"' in line]
    shown = [line for line in pushed if line.startswith("sergas_tests{") and not line.endswith(" 0")]
    groups = json.loads(get(f"{running.url}/api/v1/metrics"))["data"]
    runs = json.loads(get(f"{running.url}/api/runs?limit=1"))["runs"]
    print(f"\nThe sidecar at {running.url} now has {len(pushed)} series in {len(groups)} groups, one")
    print("for each type. Tests by type and outcome, read back from its /metrics, without the zeros:\n")
    print("\n".join(f"  {line}" for line in shown))
    print("\nAnd the run, as its /api/runs has it:\n")
    print("\n".join(f"  {run['id']}  {run['total']} tests, {run['flaky']} flaky, {run['by_status']}" for run in runs))
    return 0 if shown and runs else _complain("the sidecar does not have what was sent")


def _list_files(files: Sequence[Path]) -> int:
    print("\nFiles written:\n")
    absent = [str(file) for file in files if not file.exists()]
    for file in files:
        if file.exists():
            print(f"  {os.path.relpath(file):<26} {file.stat().st_size:>7,} bytes")
    return _complain(f"not written: {', '.join(absent)}") if absent else 0


def _show_the_way(build: Path) -> None:
    files = Path(sys.executable).with_name("sergas"), CONFIG, build / STORE
    program, config, store = (shlex.quote(os.path.relpath(file)) for file in files)
    print("\nThe demo's sidecar has ended; its store stays. This serves the page at http://127.0.0.1:8000:\n")
    print(f"  {program} serve --config {config} --store {store}")


def _complain(text: str) -> int:
    print(f"make demo: {text}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
