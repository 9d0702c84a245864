"""How a trial is started: by the command of the run, in which what would touch the run's files leads elsewhere.

    of the run                                              in a trial
    ------------------------------------------------------------------------------------------------------------
    addopts, PYTEST_ADDOPTS, files of arguments (``@FILE``)  stand in the command line, to be changed like the rest
    an option that names a file which the run has written    names a copy of it
    an option that names a directory which it has filled     names an empty one
    --log-file, --basetemp, --debug, cache_dir, ...          have a place of their own
    workers, coverage, a shard                               none
    tests to run                                             decide rootdir, configuration and first conftest.py files

What a plugin or conftest.py writes on its own account while it configures or runs tests cannot be known, and stays.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from pytest_sergas.plugin import trial

# Set by coverage, so that the processes of a run measure, too.
_MEASURING = ("COV_CORE_", "COVERAGE_PROCESS_")
# Options that name what is read, even if it was written a moment ago.
_READ = frozenset(
    f"--{name}"
    for name in ("config-file", "confcutdir", "cov", "cov-config", "deselect", "ignore", "ignore-glob", "rootdir")
)


def command(config: pytest.Config, environ: Mapping[str, str], directory: Path, since_s: float) -> list[str]:
    """Return the command of a trial.

    Args:
        environ: of the run, as the user gave it.
        directory: where trials may write.
        since_s: when the run began, in seconds since the Unix epoch.
    """
    words = list(_expanded(given(config, environ), config.invocation_params.dir))
    bases = (config.invocation_params.dir, config.rootpath)
    elsewhere = redirected(words, frozenset(map(str, config.args)), bases, directory / "files", since_s)
    return [sys.executable, "-m", "pytest", *elsewhere, *_changed(config, directory)]


def environment(environ: Mapping[str, str], directory: Path) -> dict[str, str]:
    """Return the environment of a trial."""
    kept = {
        name: value
        for name, value in environ.items()
        if not name.startswith(_MEASURING) and name != "PYTEST_ADDOPTS"  # which the command line has
    }
    return {**kept, "COVERAGE_FILE": str(directory / "coverage"), trial.VARIABLE: str(directory)}


def given(config: pytest.Config, environ: Mapping[str, str]) -> list[str]:
    """Return the arguments of the run, with those of its configuration and of the environment before them."""
    added = [*config.getini("addopts"), *shlex.split(environ.get("PYTEST_ADDOPTS", ""))]
    return [*map(str, added), *map(str, config.invocation_params.args)]


def _expanded(words: Iterable[str], base: Path) -> Iterator[str]:
    """Replace ``@FILE`` by the file's lines, as pytest does."""
    for word in words:
        if word.startswith("@"):
            yield from _expanded(Path(base, word[1:]).read_text(encoding="utf-8").splitlines(), base)
        else:
            yield word


def redirected(
    words: Sequence[str], tests: frozenset[str], bases: Sequence[Path], place: Path, since_s: float
) -> list[str]:
    """Return the arguments, in which options name copies of what the run has written.

    Args:
        tests: the arguments that are not options.
        bases: the directories that a relative path may start from.
        place: a directory for the copies; made where one is needed.
    """
    changed: list[str] = []
    before = ""
    for number, word in enumerate(words):
        option, _, value = word.partition("=") if word.startswith("--") else ("", "", word)
        # Options of one small letter are pytest's own, and none of them names a file to write.
        is_short = len(before) == 2 and before.startswith("-") and before[1].islower()
        is_value = bool(option and value) or (before.startswith("-") and not is_short and word not in tests)
        is_read = (option or before) in _READ
        found = _found(value, bases, since_s) if is_value and not is_read else None
        if found is not None:
            copy = _copied(found, place / str(number))
            changed.append(f"{option}={copy}" if option else str(copy))
        else:
            changed.append(word)
        before = word
    return changed


def _found(value: str, bases: Sequence[Path], since_s: float) -> Path | None:
    """Return the file or directory of this name that was written since then."""
    expanded = os.path.expandvars(os.path.expanduser(value))  # noqa: PTH111  some text, and most often not a path
    try:
        return next((path for base in bases if is_written(path := Path(base, expanded), since_s)), None)
    except (OSError, ValueError):  # too long a name, or a character that no name has
        return None


def is_written(path: Path, since_s: float) -> bool:
    """Whether a file was written since then, or a directory has files and all of them were."""
    if not path.is_dir():
        return path.is_file() and path.stat().st_mtime >= since_s
    is_filled = False
    for folder, _, names in os.walk(path):
        for name in names:
            if Path(folder, name).lstat().st_mtime < since_s:
                return False
            is_filled = True
    return is_filled


def _copied(path: Path, place: Path) -> Path:
    place.mkdir(parents=True, exist_ok=True)
    copy = place / path.name
    if path.is_dir():
        copy.mkdir(exist_ok=True)
    else:
        shutil.copyfile(path, copy)
    return copy


def _changed(config: pytest.Config, directory: Path) -> list[str]:
    """Return the options that a trial has besides; later ones win."""
    has = config.pluginmanager.hasplugin
    places = {
        "--log-file": os.devnull if has("logging") else "",
        "--basetemp": directory / "basetemp" if has("tmpdir") else "",
        "--debug": directory / "debug.log" if config.getoption("debug", None) else "",
        "--junitxml": directory / "junit.xml" if config.getoption("xmlpath", None) else "",
        # Filled beside results of earlier runs, and emptied at the start.
        "--alluredir": directory / "allure" if config.getoption("allure_report_dir", None) else "",
        "--output": directory / "output" if has("playwright") else "",
        "--sergas-shard": "1/1" if config.getoption("sergas_shard") else "",
    }
    return [
        *("-p", trial.NAME, "-o", "addopts=", "-o", f"cache_dir={directory / 'cache'}", "--maxfail=0"),
        *(["-n0", "--dist=no"] if has("xdist") else []),
        *(["--no-cov"] if has("pytest_cov") else []),
        *(f"{option}={value}" for option, value in places.items() if value),
    ]
