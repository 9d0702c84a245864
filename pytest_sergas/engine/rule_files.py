"""Rule files: found, read, and judged each by itself, before anything that is in force changes."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from pytest_sergas.config.rules import RulesSettings
from pytest_sergas.core.rules import Group, read_rules
from pytest_sergas.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Refused:
    """A file whose rules cannot be used.

    Attributes:
        faults: one line each.
        kept: whether the rules that it had before stay in force.
    """

    file: str
    faults: tuple[str, ...]
    kept: bool


@dataclass(frozen=True, slots=True)
class Planned:
    """What is to be evaluated, judged.

    Attributes:
        files: those that were read.
        refused: those of them that have a fault.
    """

    groups: tuple[Group, ...] = ()
    interval_s: float = 15.0
    external_url: str = ""
    files: tuple[str, ...] = ()
    refused: tuple[Refused, ...] = ()


def plan(
    settings: RulesSettings, root: Path, external_url: str, max_age_s: float, before: Planned | None = None
) -> Planned:
    """Read the rule files of the configuration and those that come with the package.

    A file with a fault takes no other with it: its own rules are not in force, or stay those of before.

    Args:
        max_age_s: how far back a rule may look.
        before: what is in force.

    Raises:
        ConfigurationError: the configuration names a file that is not there.
    """
    groups: list[Group] = []
    names: list[str] = []
    refused: list[Refused] = []
    for path in find(settings.files, root):
        name = _name(path, root)
        names.append(name)
        try:
            groups += _judged(read(path, root), max_age_s)
        except ConfigurationError as error:
            kept = [group for group in before.groups if group.file == name] if before is not None else []
            groups += kept
            refused.append(Refused(name, error.faults, bool(kept)))
    groups += read_rules(ready_made(settings.ready_made))
    return Planned(tuple(groups), settings.evaluation_interval, external_url, tuple(names), tuple(refused))


def _judged(file: tuple[str, str], max_age_s: float) -> tuple[Group, ...]:
    """Return the groups of a file.

    Raises:
        ConfigurationError: with every fault of it.
    """
    groups = read_rules([file])
    faults = tuple(
        f"{rule.place}: looks {rule.window_s:g} s back, and samples are kept for {max_age_s:g} s; "
        "shorten its ranges and offsets, or make max_age of [collect] longer"
        for group in groups
        for rule in group.rules
        if rule.window_s > max_age_s
    )
    if faults:
        raise ConfigurationError(faults)
    return groups


def ready_made(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Return the rule files ``names`` of the package, each as its name and its content."""
    directory = resources.files("pytest_sergas") / "rules"
    for name in names:
        yield f"sergas:{name}", (directory / f"{name}.yml").read_text("utf-8")


def find(patterns: Iterable[str], root: Path, key: str = "files") -> list[Path]:
    """Return the files that ``patterns`` name, each once.

    Args:
        root: the directory that patterns are relative to.
        key: where they are written, for the fault.

    Raises:
        ConfigurationError: a pattern names no file.
    """
    found: dict[Path, None] = {}
    faults = []
    for pattern in patterns:
        paths = [Path(path) for path in sorted(glob.glob(str(root / pattern)))]  # noqa: PTH207  takes absolute ones, too
        files = [path for path in paths if path.is_file()]
        if not files:
            faults.append(f"{key} = {pattern!r}: there is no such file in {str(root)!r}")
        found.update(dict.fromkeys(files))
    if faults:
        raise ConfigurationError(tuple(faults))
    return list(found)


def read(path: Path, root: Path) -> tuple[str, str]:
    """Return a file's name, relative to ``root`` where it is inside, and its content.

    Raises:
        ConfigurationError: it cannot be read.
    """
    name = _name(path, root)
    try:
        return name, path.read_text("utf-8")
    except OSError as error:
        raise ConfigurationError((f"{name}: cannot be read: {error.strerror}",)) from error
    except UnicodeDecodeError:
        raise ConfigurationError((f"{name}: is not UTF-8 text",)) from None


def _name(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()
