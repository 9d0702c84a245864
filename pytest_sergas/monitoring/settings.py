"""The configuration of a `ComprehensiveMonitoringSystem`: a dictionary with the keys of ``sergas.toml``.

Those of the specification are among them: ``max_test_workers``, ``test_timeout``, ``test_retry_count``,
``monitoring_interval``, ``metrics_retention``, ``alert_cooldown``, ``max_alerts_per_minute``, ``health_check_timeout``,
``health_check_interval``, ``slack_webhook_url``, ``alert_webhook_url``, ``smtp``. Beside them stand

    store          the file that holds everything; default: in memory
    sidecar_url    where everything is forwarded to
    root           the directory that paths are relative to; default: the current one

A key that is None or an empty text is not set, and neither is an ``smtp`` without a host. As for the sidecar, the
environment decides before the dictionary (``SLACK_WEBHOOK_URL`` and the others).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from pytest_sergas import collectors
from pytest_sergas.config import SECTIONS, Judged, find, load_sections
from pytest_sergas.config.collect import CollectSettings
from pytest_sergas.config.file import ConfigFile
from pytest_sergas.config.program import runs_of
from pytest_sergas.config.rules import RulesSettings
from pytest_sergas.config.runs import Settings
from pytest_sergas.config.serve import MEMORY, ServeSettings
from pytest_sergas.core import address, kinds
from pytest_sergas.engine.engine import EngineSettings
from pytest_sergas.errors import ConfigurationError

_NAME = "config"
_PARTS = ("groups", "collect", "checks", "channels", "routes", "rules")
_OWN = ("store", "sidecar_url", "root")
_AND_OWN = "store, sidecar_url and root"


@dataclass(frozen=True, slots=True)
class SystemSettings:
    """A configuration that was read.

    Attributes:
        runs: what tests are run with.
        for_pytest: the same as it is written, with the checks, for the pytest of such a run.
        sidecar_url: where everything is forwarded to; "" for an engine that speaks for itself.
    """

    engine: EngineSettings
    runs: Settings
    for_pytest: Mapping[str, Any] = field(repr=False)
    sidecar_url: str = field(repr=False)


def read(config: Mapping[str, Any], environ: Mapping[str, str]) -> SystemSettings:
    """Read a configuration.

    Raises:
        ConfigurationError: with every fault, and without a secret in any.
    """
    given = {key: value for key, value in config.items() if _is_set(value)}
    if isinstance(smtp := given.get("smtp"), Mapping):
        given["smtp"] = {key: value for key, value in smtp.items() if _is_set(value)}
        if not given["smtp"].get("host"):
            del given["smtp"]
    faults: list[str] = []
    root = Path(given.get("root", Path.cwd()))
    table = {key: value for key, value in given.items() if key not in _OWN}
    sidecar_url = _checked(given, "sidecar_url", address.text, faults)
    store = _checked(given, "store", kinds.text, faults) or MEMORY
    engine, runs = EngineSettings(root), Settings()
    faults += _unknown(table)
    try:
        readings = load_sections(
            ConfigFile(root, _NAME, (), table), ("", *_PARTS), environ=environ, judged=Judged(channels=False)
        )
    except ConfigurationError as error:
        faults += error.faults
    else:
        runs = readings[""].settings
        engine = EngineSettings(root, **{name: readings[name].settings for name in _PARTS}, job=runs.project)
    if faults:
        raise ConfigurationError(tuple(faults))
    # The pytest of a run reads the checks alone: what they take from the general keys stands in each of them.
    timeout_s = engine.checks.health_check_timeout
    checks = tuple({"timeout": timeout_s, **entry} for entry in given.get("checks", ()))
    for_pytest = {**runs_of(table, root), "checks": checks}
    return SystemSettings(replace(engine, serve=replace(engine.serve, store=store)), runs, for_pytest, sidecar_url)


def quiet(root: Path, **parts: Any) -> EngineSettings:
    """Return the settings of an engine that does by itself only what ``parts``, section → settings, say."""
    names = tuple(entry.name for entry in entry_points(group=collectors.GROUP))
    rules = RulesSettings(ready_made=())
    engine = EngineSettings(
        root, collect=CollectSettings(disabled=names), rules=rules, serve=ServeSettings(store=MEMORY)
    )
    return replace(engine, **parts)


def _is_set(value: object) -> bool:
    """Whether a value is one: what comes from a variable that is not set, or is empty, is none."""
    return value is not None and not (isinstance(value, str) and not value.strip())


def _unknown(table: dict[str, Any]) -> list[str]:
    """Take out of ``table`` what nobody knows, and return a line for each."""
    known = [*_OWN]
    for name in ("", *_PARTS):
        section = find(name)
        known += [*section.names, *(section.keys if section.at_top or not name else (name,))]
    faults = []
    for key in [key for key in table if key not in known]:
        del table[key]
        if key in SECTIONS:
            faults.append(f"{_NAME}: {key}: is for sergas serve alone; a program opens no port, and has {_AND_OWN}")
            continue
        near = kinds.nearest(key, known)
        hint = f"did you mean {near!r}?" if near else "the keys are those of sergas.toml"
        faults.append(f"{_NAME}: {key}: unknown key; {hint}")
    return faults


def _checked(given: Mapping[str, Any], key: str, kind: kinds.Kind, faults: list[str]) -> str:
    if key not in given:
        return ""
    try:
        return str(kind(str(given[key]) if isinstance(given[key], Path) else given[key]))
    except kinds.NotAllowed as wrong:
        faults.append(f"{_NAME}: {key}: {wrong}")
        return ""
