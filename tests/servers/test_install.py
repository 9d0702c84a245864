"""The programs that the tests need are downloaded and unpacked where the system lacks them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.servers import tools

pytestmark = pytest.mark.integration

SCRIPT = Path(__file__).with_name("install.sh")


def install(directory: Path, *programs: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Let the script provide ``programs`` in ``directory``; ``path`` is the only directory on its PATH."""
    environment = None if path is None else {"PATH": str(path)}
    command = [shutil.which("bash") or "bash", str(SCRIPT), "--into", str(directory), *programs]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=environment)


@pytest.mark.timeout(600)  # the list of the distribution's packages comes over the network
def test_downloaded_program_runs(tmp_path: Path) -> None:
    if shutil.which("apt-get") is None:
        tools.missing("apt-get", "this is no Debian or Ubuntu")

    said = install(tmp_path, "strace").stderr

    if "is missing" in said:
        tools.missing("strace as a package", f"the distribution's archive must be within reach: {said}")
    told = subprocess.run([tmp_path / "bin" / "strace", "-V"], capture_output=True, text=True, check=True, timeout=60)
    assert told.stdout.startswith("strace -- version ")


def test_program_that_is_there_is_not_downloaded_again(tmp_path: Path) -> None:
    own = tmp_path / "bin" / "strace"
    own.parent.mkdir()
    own.touch(mode=0o755)

    install(tmp_path, "strace")

    assert list(tmp_path.rglob("*")) == [own.parent, own]


def test_without_apt_it_says_what_is_missing_and_ends_well(tmp_path: Path) -> None:
    path = tmp_path / "path"
    path.mkdir()
    for program in ("dirname", "mkdir"):
        (path / program).symlink_to(shutil.which(program) or program)

    done = install(tmp_path / "tools", "strace", path=path)

    assert done.stderr == (
        "this system has no apt-get\nstrace is missing; install the package strace, or put the program on the PATH\n"
    )
