"""``sergas init``: a commented configuration to start from."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_sergas.config import PYPROJECT, SECTIONS, SERGAS_TOML, TYPE_KEYS, find
from pytest_sergas.config.file import read_file
from pytest_sergas.config.toml import to_toml
from pytest_sergas.core.policy import BUILT_IN, DEFAULTS
from pytest_sergas.core.records import TestType
from pytest_sergas.errors import ConfigurationError, SergasError

HELP = "write a commented configuration to start from"
EXAMPLES = """\
Every key is there, commented out, with its default and its meaning. Directories
such as tests/unit that exist give their tests a type. Nothing is overwritten.

examples:
  sergas init               write sergas.toml
  sergas init --pyproject   append [tool.sergas] to pyproject.toml instead
"""

# Where the tests of a type often are, beside the type's own name.
_OTHER_NAMES: Mapping[TestType, tuple[str, ...]] = {
    TestType.UNIT: ("units",),
    TestType.PERFORMANCE: ("perf", "benchmarks"),
    TestType.E2E: ("end_to_end", "end-to-end"),
    TestType.COMPATIBILITY: ("compat",),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--pyproject", action="store_true", help="append [tool.sergas] to pyproject.toml instead")


def run(arguments: argparse.Namespace) -> int:
    from pytest_sergas.cli._pytest import configured

    here = Path.cwd()
    root = configured().rootpath
    if not root.samefile(here):
        raise SergasError(
            f"sergas: pytest's root directory is {root}, and only a file there counts; run sergas init there"
        )
    _refuse_second(here)
    paths = guess_paths(here)
    head = "tool.sergas" if arguments.pyproject else ""
    text = "\n".join(starter(paths, head=head)) + "\n"
    if arguments.pyproject:
        _append(here / PYPROJECT, text)
        print(f"appended [tool.sergas] to {PYPROJECT}")
    else:
        _create(here / SERGAS_TOML, text)
        print(f"wrote {SERGAS_TOML}")
    print("\n".join(_next_steps(paths)))
    return 0


def guess_paths(root: Path) -> dict[TestType, list[str]]:
    """Return type → the directories below ``root`` whose names say that they hold its tests."""
    found: dict[TestType, list[str]] = {}
    for test_type in TestType:
        names = (test_type.value, *_OTHER_NAMES.get(test_type, ()))
        candidates = [f"{base}/{name}" for base in ("tests", "test") for name in names]
        if existing := [path for path in candidates if (root / path).is_dir()]:
            found[test_type] = existing
    return found


def starter(paths: Mapping[TestType, Sequence[str]], *, head: str) -> Iterator[str]:
    """Return the lines of the starter.

    A line that starts with ``# `` is prose; one that starts with ``#`` and a key becomes configuration when
    the ``#`` is removed. As written, and with every ``#`` of a key removed, the file is valid.

    Args:
        paths: type → directories that exist.
        head: the table below which everything stands, or "" for none.
    """
    yield "# pytest-sergas: what each type of test brings, and where runs go."
    yield "# A key that is commented out shows its default, or an example where it has none."
    yield "# `sergas config` shows what is in force."
    sections = {name: find(name) for name in SECTIONS}
    # What stands at the top level comes first: in TOML a table takes everything that follows it.
    for name, section in sorted(sections.items(), key=lambda entry: bool(entry[1].table)):
        table = ".".join(part for part in (head, section.table) if part)
        yield ""
        if table and not section.at_top:
            yield f"[{table}]"
        for key, entry in section.keys.items():
            if (name, key) != ("", "types"):
                yield from _key(key, entry.help, entry.example)
    yield from _types(paths, ".".join(part for part in (head, "types") if part))


def _types(paths: Mapping[TestType, Sequence[str]], head: str) -> Iterator[str]:
    yield ""
    yield "# One table for each type. A test has a type by its marker (@pytest.mark.unit) or by its directory (paths)."
    yield "# The first table explains every key; all types have the same ones."
    for test_type in TestType:
        yield ""
        yield f"[{head}.{test_type.value}]"
        defaults: dict[str, Any] = {"marker": test_type.value, **BUILT_IN[test_type]}
        written: dict[str, Any] = {"paths": list(paths[test_type])} if test_type in paths else {}
        if test_type is TestType.SMOKE:
            written["gate"] = True
        for key, entry in TYPE_KEYS.items():
            example = to_toml(defaults[key]) if key in defaults else entry.example
            if key in written:
                yield from _key(key, entry.help, to_toml(written[key]), mark="")
            elif test_type is TestType.UNIT:
                yield from _key(key, entry.help, example)
            elif key == "paths" or key in BUILT_IN[test_type].keys() - DEFAULTS.keys():
                yield f"#{key} = {example}"


def _key(key: str, meaning: str, value: str, *, mark: str = "#") -> Iterator[str]:
    yield f"# {meaning}"
    yield f"{mark}{key} = {value}"


def _refuse_second(root: Path) -> None:
    file = read_file(root)
    if file.faults:
        raise ConfigurationError(file.faults)
    if file.name:
        where = "[tool.sergas] in pyproject.toml" if file.name == PYPROJECT else file.name
        raise SergasError(f"sergas: {where} exists already and is left as it is; sergas config shows what it says")


def _create(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise SergasError(f"sergas: {path.name} cannot be written: {error.strerror}") from error


def _append(path: Path, text: str) -> None:
    import tomllib

    try:
        before = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as error:
        raise SergasError(f"sergas: there is no {PYPROJECT} here; sergas init writes {SERGAS_TOML}") from error
    newline = "\r\n" if "\r\n" in before else "\n"
    gap = ("" if before.endswith("\n") or not before else newline) + (newline if before else "")
    addition = gap + text.replace("\n", newline)
    try:
        tomllib.loads(before + addition)
    except tomllib.TOMLDecodeError as error:
        raise SergasError(
            f"sergas: [tool.sergas] cannot be appended to {PYPROJECT}, whose tables are written inline; "
            f"sergas init writes {SERGAS_TOML}"
        ) from error
    try:
        with path.open("a", encoding="utf-8", newline="") as file:
            file.write(addition)
    except OSError as error:
        raise SergasError(f"sergas: {path.name} cannot be written: {error.strerror}") from error


def _next_steps(paths: Mapping[TestType, Sequence[str]]) -> Iterator[str]:
    for test_type, directories in paths.items():
        yield f"  {', '.join(directories)}: tests of the type {test_type.value}"
    yield "  smoke tests run first; the rest does not start when one of them fails"
    yield "next:"
    if not paths:
        yield "  mark a test with @pytest.mark.unit, or give a directory a type with paths"
    yield f"  pytest -m {next(iter(paths), TestType.UNIT).value:<12} run the tests of one type"
    yield "  sergas config          show what is in force"
