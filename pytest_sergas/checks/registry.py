"""From the configuration to checks: the kind of each entry is the name of an entry point."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from pytest_sergas.checks import GROUP, Check, Context
from pytest_sergas.config.checks import CheckSettings
from pytest_sergas.core import kinds
from pytest_sergas.core.health import dependency_faults
from pytest_sergas.errors import ConfigurationError, gathered


def create(entries: Sequence[CheckSettings], root: Path) -> tuple[Check, ...]:
    """Return a check for each of the ``entries``, in their order.

    Args:
        root: the directory that files are relative to.

    Raises:
        ConfigurationError: listing every fault of all of them: an unknown kind, options, a package that is
            not installed, dependencies that do not exist or go in a circle.
    """
    known = {entry.name: entry for entry in entry_points(group=GROUP)}
    faults = list(dependency_faults({settings.name: settings.depends_on for settings in entries}))
    checks: list[Check] = []
    for settings in entries:
        if settings.type not in known:
            faults.append(_unknown(settings, known))
            continue
        with gathered(faults):
            checks.append(_make(known[settings.type], Context(settings, root)))
    if faults:
        raise ConfigurationError(tuple(faults))
    return tuple(checks)


def _make(entry: EntryPoint, context: Context) -> Check:
    name = context.settings.name
    try:
        check: Check = entry.load()(context)
    except ConfigurationError:
        raise
    except Exception as error:  # the edge of a stranger's factory
        text = (
            f"checks.{name}: the check {entry.name!r} ({entry.value}) cannot be made: {type(error).__name__}: {error}"
        )
        raise ConfigurationError((text,)) from error
    return check


def _unknown(settings: CheckSettings, known: dict[str, EntryPoint]) -> str:
    near = kinds.nearest(settings.type, known)
    hint = f"did you mean {near!r}?" if near else f"allowed: {', '.join(map(repr, sorted(known)))}"
    return f"checks.{settings.name}: type = {settings.type!r}: there is no such check; {hint}"
