"""What is published: contents and metadata of wheel and sdist, and the wheel at work in a clean environment."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

from pytest_sergas.version import VERSION

pytestmark = [pytest.mark.integration(timeout=600)]

ROOT = Path(__file__).parents[1]
OLDEST = (3, 11)
# What the surrounding run says to Python, pytest and its plugins is not meant for the clean environment.
OURS = ("PYTHON", "PYTEST_", "COV_", "VIRTUAL_ENV", "GITHUB_ACTIONS", "PROMETHEUS_GATEWAY")
ENVIRON = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}

SUITE = """
import asyncio
import pytest

@pytest.mark.unit
def test_plain(): pass

@pytest.mark.unit
@pytest.mark.asyncio
async def test_coroutine(): await asyncio.sleep(0)

@pytest.mark.unit(retries=1)
def test_second_time(tmp_path_factory):
    marker = tmp_path_factory.getbasetemp() / "been here"
    if not marker.exists():
        marker.touch()
        raise AssertionError("the first time")

@pytest.mark.e2e
def test_deselected(): raise AssertionError("-m unit was asked for")
"""


def interpreters() -> dict[str, Path]:
    """Return version → interpreter for every Python of this machine that we support."""
    names = ("python3", *(f"python3.{minor}" for minor in range(OLDEST[1], 30)))
    found = [shutil.which(name) for name in names]
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv", "versions")
    candidates = [Path(path) for path in (*found, sys.executable) if path]
    candidates += sorted(pyenv.glob("*/bin/python3"))
    return dict(sorted(entry for candidate in candidates for entry in _examine(candidate)))


def _examine(candidate: Path) -> Iterator[tuple[str, Path]]:
    # A shim of pyenv is there for versions that are not; it fails when it is run. The base executable is the
    # interpreter behind a shim or a virtual environment.
    program = "import sys; print(*sys.version_info[:2], sys._base_executable)"
    done = subprocess.run([candidate, "-c", program], env=ENVIRON, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        major, minor, path = done.stdout.strip().split(" ", 2)
        if (int(major), int(minor)) >= OLDEST:
            yield f"{major}.{minor}", Path(path)


@dataclass(frozen=True, slots=True)
class Built:
    """The two files that would be published."""

    wheel: Path
    sdist: Path

    @property
    def files(self) -> dict[str, bytes]:
        """Name → content of the wheel's files."""
        with zipfile.ZipFile(self.wheel) as archive:
            return {name: archive.read(name) for name in archive.namelist()}

    @property
    def metadata(self) -> Message:
        return Parser().parsestr(self.files[f"pytest_sergas-{VERSION}.dist-info/METADATA"].decode())


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Build the sdist, and the wheel out of the sdist, as for a release."""
    directory = tmp_path_factory.mktemp("dist")
    done = subprocess.run(
        [sys.executable, "-m", "build", "--outdir", directory, ROOT],
        env=ENVIRON,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = directory.glob("*.whl")
    (sdist,) = directory.glob("*.tar.gz")
    return Built(wheel, sdist)


def test_wheel_holds_the_package_and_nothing_else(built: Built) -> None:
    package = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "pytest_sergas").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }

    assert {name for name in built.files if ".dist-info/" not in name} == package
    assert "pytest_sergas/py.typed" in package
    assert built.wheel.name == f"pytest_sergas-{VERSION}-py3-none-any.whl"


def test_sdist_holds_the_sources_and_what_people_read(built: Built) -> None:
    with tarfile.open(built.sdist) as archive:
        top = {name.split("/")[1] for name in archive.getnames()}

    assert top == {
        ".gitignore",
        "CHANGELOG.md",
        "LICENSE",
        "PKG-INFO",
        "README.md",
        "pyproject.toml",
        "pytest_sergas",
    }


def test_wheel_registers_plugin_command_and_publishers(built: Built) -> None:
    text = built.files[f"pytest_sergas-{VERSION}.dist-info/entry_points.txt"].decode()

    assert "[pytest11]\nsergas = pytest_sergas.plugin\n" in text
    assert "[console_scripts]\nsergas = pytest_sergas.cli:main\n" in text
    assert "[pytest_sergas.publishers]\n" in text


def test_metadata_says_what_it_is_and_which_extras_there_are(built: Built) -> None:
    metadata = built.metadata

    assert "Framework :: Pytest" in metadata.get_all("Classifier", [])
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Requires-Python"] == ">=3.11"
    assert sorted(metadata.get_all("Provides-Extra", [])) == ["all", "apprise", "postgres", "redis", "sidecar"]


def test_without_extras_only_the_plugin_half_is_required(built: Built) -> None:
    required = [line for line in built.metadata.get_all("Requires-Dist", []) if "extra ==" not in line]

    assert sorted(line.partition(">")[0] for line in required) == [
        "prometheus-client",
        "psutil",
        "pytest",
        "pytest-asyncio",
        "pytest-cov",
        "pytest-rerunfailures",
        "pytest-timeout",
        "pytest-xdist",
    ]


@pytest.mark.parametrize("interpreter", [pytest.param(path, id=version) for version, path in interpreters().items()])
def test_installed_wheel_works_without_extras(interpreter: Path, built: Built, tmp_path: Path) -> None:
    python = _environment_with(built.wheel, interpreter, tmp_path / "env")
    suite = tmp_path / "suite"
    suite.mkdir()
    (suite / "test_suite.py").write_text(SUITE, encoding="utf-8")

    arguments = ["-W", "error", "-m", "unit", "-n", "2", "--strict-markers", "--sergas-ctrf=run.json"]
    done = _run([python, "-m", "pytest", *arguments], suite)

    assert done.returncode == 0, done.stdout + done.stderr
    tests = json.loads((suite / "run.json").read_text("utf-8"))["results"]["tests"]
    assert {test["name"]: (test["type"], test["rawStatus"]) for test in tests} == {
        "test_plain": ("unit", "passed"),
        "test_coroutine": ("unit", "passed"),
        "test_second_time": ("unit", "flaky"),
    }
    assert _run([python.parent / "sergas", "--version"], suite).stdout == f"sergas {VERSION}\n"
    assert _run([python, "-c", "import starlette"], suite).returncode == 1


def _environment_with(wheel: Path, interpreter: Path, directory: Path) -> Path:
    """Install ``wheel`` and what it requires, and nothing else; return the environment's interpreter."""
    # Without pip of its own, which Debian's interpreters may lack: ours installs.
    subprocess.run([interpreter, "-m", "venv", "--without-pip", directory], env=ENVIRON, check=True)
    python = directory / "bin" / "python"
    install: list[str | Path] = [sys.executable, "-m", "pip", "--quiet", "--python", python, "install", wheel]
    subprocess.run(install, env=ENVIRON, check=True)
    return python


def _run(command: list[str | Path], directory: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=directory, env=ENVIRON, capture_output=True, text=True, check=False)
