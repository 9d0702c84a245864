"""``sergas rules``: looks at rule files, and runs tests of rules."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pytest_sergas.cli._options import add_action, add_json, add_sidecar, as_json, config_file
from pytest_sergas.cli._sidecar import find as find_sidecar
from pytest_sergas.config import load_sections
from pytest_sergas.core.rule_tests import TestFile, read_tests, run_file
from pytest_sergas.core.rules import Group, read_rules
from pytest_sergas.core.summary import seconds
from pytest_sergas.errors import ConfigurationError, SergasError

HELP = "check rule files, and run tests of rules"
EXAMPLES = """\
check looks at the rule files that are named, or else at those of the
configuration, and with --url asks a running sidecar as well: which rules fail,
and which select series that there have never been.
test takes files of tests in the format of promtool test rules.

exit status: 0 everything is well, 1 a test fails or a rule of the sidecar does,
2 a file cannot be used, or there is none

examples:
  sergas rules check
  sergas rules check rules/*.yml
  sergas rules check --url http://127.0.0.1:8000
  sergas rules test rules/*_test.yml
"""

PATH = "/api/rules"
_BAD = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    _add_common(parser)
    actions = parser.add_subparsers(title="actions", dest="action", metavar="ACTION", required=True)
    check = add_action(actions, "check", "check rule files")
    check.add_argument("files", nargs="*", metavar="FILE", help="rule files; default: those of the configuration")
    test = add_action(actions, "test", "run tests of rules")
    test.add_argument("files", nargs="+", metavar="FILE", help="files of tests")
    for action in (check, test):
        _add_common(action)


def _add_common(parser: argparse.ArgumentParser) -> None:
    add_sidecar(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    if arguments.action == "test":
        if getattr(arguments, "url", None) is not None:
            raise SergasError("sergas: rules test asks no sidecar; leave --url out, or use rules check")
        return _test([Path(file) for file in arguments.files], as_json=as_json(arguments))
    return _check(arguments)


def _check(arguments: argparse.Namespace) -> int:
    groups = _named(arguments.files) if arguments.files else _configured(arguments)
    document: dict[str, Any] = {"files": counts(groups)}
    lines = list(found_lines(groups))
    failing = False
    if getattr(arguments, "url", None) is not None:
        sidecar = find_sidecar(arguments)
        rules = sidecar.ask(PATH, "the rules", frozenset({"rules"}))["rules"]
        lines += [f"{sidecar.url} has {_counted(len(rules), 'rule')} in force", *running_lines(rules)]
        document["sidecar"] = {"url": sidecar.url, "rules": rules}
        failing = any(rule["error"] for rule in rules)
    print(json.dumps(document, indent=2) if as_json(arguments) else "\n".join(lines))
    return _BAD if failing else 0


def _test(paths: Sequence[Path], *, as_json: bool) -> int:
    found = []
    for path, file in [(path, _tests(path)) for path in paths]:
        failures = [str(failure) for failure in run_file(file, _rules_of(path, file))]
        found.append({"file": str(path), "tests": len(file.tests), "failures": failures})
        if not as_json:
            print(f"{path}: {_counted(len(file.tests), 'test')}, {_counted(len(failures), 'failure')}")
            print("".join(f"  {failure}\n" for failure in failures), end="")
    if as_json:
        print(json.dumps({"files": found}, indent=2))
    return _BAD if any(entry["failures"] for entry in found) else 0


def counts(groups: Sequence[Group]) -> dict[str, int]:
    """Return file → how many rules it has."""
    found: dict[str, int] = {}
    for group in groups:
        found[group.file] = found.get(group.file, 0) + len(group.rules)
    return found


def found_lines(groups: Sequence[Group]) -> Iterator[str]:
    """Return a line for each file, with how many rules it has."""
    for file, count in counts(groups).items():
        yield f"{file}: {_counted(count, 'rule')}"


def running_lines(rules: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Return what there is to say about rules of a sidecar: failures, and series that there have never been."""
    for rule in rules:
        place = f"{rule['file']}: {rule['group']}, {rule['alert'] or rule['record']}"
        if rule["error"]:
            yield f"  {place} fails: {rule['error']}"
        for selector in rule["unmatched"]:
            yield f"  {place} selects series that there have never been: {selector}"
        if rule["warming_up_s"]:
            yield f"  {place} is warming up: samples reach as far back as it looks in {seconds(rule['warming_up_s'])}"


def _counted(count: int, noun: str) -> str:
    return f"{count or 'no'} {noun}{'' if count == 1 else 's'}"


def _named(files: Sequence[str]) -> tuple[Group, ...]:
    from pytest_sergas.engine.rule_files import read

    return read_rules([read(Path(file), Path()) for file in files])


def _configured(arguments: argparse.Namespace) -> tuple[Group, ...]:
    from pytest_sergas.engine.rule_files import plan

    file = config_file(arguments)
    readings = load_sections(file, ("rules", "collect"), environ=os.environ)
    planned = plan(readings["rules"].settings, file.root, "", readings["collect"].settings.max_age)
    if faults := tuple(fault for refused in planned.refused for fault in refused.faults):
        raise ConfigurationError(faults)
    groups = planned.groups
    if not groups:
        raise SergasError("sergas: no rules; the key files of [rules] says where they are")
    return groups


def _tests(path: Path) -> TestFile:
    from pytest_sergas.engine.rule_files import read

    name, content = read(path, Path())
    return read_tests(content, name)


def _rules_of(path: Path, file: TestFile) -> tuple[Group, ...]:
    from pytest_sergas.engine.rule_files import find, read

    directory = path.absolute().parent
    return read_rules([read(each, directory) for each in find(file.rule_files, directory, f"{path}: rule_files")])
