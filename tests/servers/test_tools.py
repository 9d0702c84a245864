"""Where tools are looked for, and what a test says without them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.servers import tools

pytestmark = pytest.mark.unit


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """The repository's own directory of programs, and the only one on the PATH."""
    own, path = tmp_path / "tools" / "bin", tmp_path / "path"
    own.mkdir(parents=True)
    path.mkdir()
    monkeypatch.setattr(tools, "TOOLS", own.parent)
    monkeypatch.setenv("PATH", str(path))
    return own, path


def program(directory: Path) -> Path:
    made = directory / "promtool"
    made.touch(mode=0o755)
    return made


def test_own_program_comes_before_the_path(places: tuple[Path, Path]) -> None:
    expected, _ = program(places[0]), program(places[1])

    assert tools.find("promtool", "hint") == expected


def test_program_on_the_path_is_found(places: tuple[Path, Path]) -> None:
    expected = program(places[1])

    assert tools.find("promtool", "hint") == expected


@pytest.mark.usefixtures("places")
def test_missing_program_skips_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)

    with pytest.raises(pytest.skip.Exception) as raised:
        tools.find("promtool", "apt-get install prometheus")

    assert str(raised.value) == "promtool is missing: apt-get install prometheus"


@pytest.mark.usefixtures("places")
def test_missing_program_fails_the_test_where_ci_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")

    with pytest.raises(pytest.fail.Exception) as raised:
        tools.find("promtool", "apt-get install prometheus")

    assert str(raised.value) == (
        "promtool is missing: apt-get install prometheus (where CI is set, this is no reason to skip)"
    )
