"""What the plugin loads: nothing heavy, neither when it is imported nor in a whole run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

HEAVY = {
    "asyncio",
    "http.server",
    "httpx2",
    "prometheus_client",
    "psutil",
    "sqlite3",
    "ssl",
    "starlette",
    "urllib.request",
    "uvicorn",
}

IMPORTING = """
import json, sys
import pytest
before = set(sys.modules)
import {module}
print(json.dumps(sorted(set(sys.modules) - before)))
"""

CONFTEST = """
import json, sys
import pytest

@pytest.hookimpl(trylast=True)
def pytest_unconfigure():
    with open("modules.json", "w") as file:
        json.dump(sorted(sys.modules), file)
"""


def added_by(module: str) -> set[str]:
    """Return what importing ``module`` adds to what pytest has loaded."""
    program = IMPORTING.format(module=module)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


def loaded_by_a_run(pytester: pytest.Pytester, *arguments: str) -> set[str]:
    """Return what is loaded at the end of a run of one typed test."""
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile("import pytest\n\n@pytest.mark.unit\ndef test_one(): pass\n")
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-W", "ignore", *arguments)
    result.assert_outcomes(passed=1)
    return set(json.loads(Path(pytester.path, "modules.json").read_text("utf-8")))


def test_importing_the_plugin_adds_nothing_heavy() -> None:
    added = added_by("pytest_sergas.plugin")

    assert "pytest_sergas.plugin" in added
    assert added & HEAVY == set()


def test_importing_the_package_adds_nothing_but_the_version() -> None:
    added = {name for name in added_by("pytest_sergas") if not name.startswith("__")}

    assert added == {"pytest_sergas", "pytest_sergas.version"}


def test_every_public_name_can_be_imported() -> None:
    program = "import pytest_sergas\nfor name in pytest_sergas.__all__: getattr(pytest_sergas, name)\n"
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)


def test_a_run_with_a_record_loads_nothing_heavy_beyond_the_other_plugins(pytester: pytest.Pytester) -> None:
    without = loaded_by_a_run(pytester, "-p", "no:sergas")
    with_us = loaded_by_a_run(pytester, "--sergas-ctrf", "run.ctrf.json")

    assert Path(pytester.path, "run.ctrf.json").exists()
    assert "pytest_sergas.plugin" not in without
    assert (with_us - without) & HEAVY == set()
