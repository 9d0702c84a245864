"""What `import pytest_sergas` gives, and what it costs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import pytest_sergas

pytestmark = pytest.mark.integration

TYPED_USE = """
from typing import assert_type

from pytest_sergas import ConfigurationError, Outcome, Policy, RunRecord, TestRecord, TestType, __version__

assert_type(TestType("unit"), TestType)
assert_type(Outcome("flaky"), Outcome)
assert_type(__version__, str)


def slowest(run: RunRecord) -> TestRecord:
    return max(run.tests, key=lambda test: test.duration_s)


def limit(policy: Policy) -> float:
    return policy.timeout_s


def faults(error: ConfigurationError) -> tuple[str, ...]:
    return error.faults


RunRecord.nonsense
"""


def python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60).stdout


@pytest.mark.parametrize("name", pytest_sergas.__all__)
def test_public_name_is_there(name: str) -> None:
    assert getattr(pytest_sergas, name)


def test_importing_the_package_loads_only_its_version() -> None:
    loaded = python(
        "import pytest_sergas, sys; print(*sorted(m for m in sys.modules if m.startswith('pytest_sergas')))"
    )

    assert loaded.split() == ["pytest_sergas", "pytest_sergas.version"]


def test_name_loads_what_it_lives_in_and_no_more() -> None:
    loaded = python(
        "import pytest_sergas, sys; pytest_sergas.SergasError\n"
        "print(*sorted(m for m in sys.modules if m.startswith('pytest_sergas')))"
    )

    assert loaded.split() == ["pytest_sergas", "pytest_sergas.errors", "pytest_sergas.version"]


def test_importing_the_configuration_loads_neither_toml_nor_what_looks_for_near_words() -> None:
    code = (
        "import os, pathlib, sys; from pytest_sergas.config import load\n"
        "load(pathlib.Path('/nowhere/at/all'), environ={})\n"
        "print(*sorted({'difflib', 'string', 'tomllib', 'json', 'pytest'} & {*sys.modules}))"
    )

    assert python(code).split() == []


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"^module 'pytest_sergas' has no attribute 'Nonsense'$"):
        _ = pytest_sergas.Nonsense


def test_names_are_listed() -> None:
    assert dir(pytest_sergas) == sorted(pytest_sergas.__all__)


def test_star_import_gives_every_name() -> None:
    names = python("from pytest_sergas import *; print(*sorted(name for name in dir() if name != '__builtins__'))")

    assert set(pytest_sergas.__all__) <= set(names.split())


def test_type_checker_sees_the_types(tmp_path: Path) -> None:
    (tmp_path / "use.py").write_text(TYPED_USE, encoding="utf-8")

    result = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-incremental", "use.py"],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )

    # One error, and it is the one that is there to be found.
    assert [line.partition("error: ")[2] for line in result.stdout.splitlines() if "error: " in line] == [
        '"type[RunRecord]" has no attribute "nonsense"  [attr-defined]'
    ]
