"""``sergas rules``: looks at rule files, and runs tests of rules."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pytest_sergas.cli._sidecar import find as find_sidecar
from pytest_sergas.config import load_sections
from pytest_sergas.config.file import read_file, read_named
from pytest_sergas.core.rule_tests import TestFile, read_tests, run_file
from pytest_sergas.core.rules import Group, read_rules
from pytest_sergas.core.summary import seconds

HELP = "check rule files, and run tests of rules"
EXAMPLES = """\
check looks at the rule files that are named, or else at those of the
configuration, and with --url asks a running sidecar as well: which rules fail,
and which select series that there have never been.
test takes files of tests in the format of promtool test rules.

exit status: 0 everything is well, 1 a test fails or a rule of the sidecar does,
2 a file cannot be used

examples:
  sergas rules check
  sergas rules check rules/*.yml
  sergas rules check --url http://127.0.0.1:8000
  sergas rules test rules/*_test.yml
"""

PATH = "/api/rules"
_BAD = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(title="actions", dest="action", metavar="ACTION", required=True)
    check = actions.add_parser("check", help="check rule files", description="Check rule files.", allow_abbrev=False)
    check.add_argument("files", nargs="*", metavar="FILE", help="rule files; default: those of the configuration")
    check.add_argument(
        "--config", metavar="FILE", help="the configuration; default: pyproject.toml or sergas.toml here"
    )
    check.add_argument("--url", metavar="URL", help="a running sidecar, whose rules are looked at as well")
    test = actions.add_parser("test", help="run tests of rules", description="Run tests of rules.", allow_abbrev=False)
    test.add_argument("files", nargs="+", metavar="FILE", help="files of tests")


def run(arguments: argparse.Namespace) -> int:
    if arguments.action == "test":
        return _test([Path(file) for file in arguments.files])
    return _check(arguments)


def _check(arguments: argparse.Namespace) -> int:
    groups = _named(arguments.files) if arguments.files else _configured(arguments.config)
    print("\n".join(found_lines(groups)))
    if arguments.url is None:
        return 0
    sidecar = find_sidecar(arguments.url)
    answer = sidecar.ask(PATH, "the rules", frozenset({"rules"}))
    lines = list(running_lines(answer["rules"]))
    print("\n".join([f"{sidecar.url} has {_counted(len(answer['rules']), 'rule')} in force", *lines]))
    return _BAD if any(rule["error"] for rule in answer["rules"]) else 0


def _test(paths: Sequence[Path]) -> int:
    files = [(path, _tests(path)) for path in paths]
    failed = 0
    for path, file in files:
        groups = _rules_of(path, file)
        failures = list(run_file(file, groups))
        failed += len(failures)
        print(f"{path}: {_counted(len(file.tests), 'test')}, {_counted(len(failures), 'failure')}")
        for failure in failures:
            print(f"  {failure}")
    return _BAD if failed else 0


def found_lines(groups: Sequence[Group]) -> Iterator[str]:
    """Return a line for each file, with how many rules it has."""
    counts: dict[str, int] = {}
    for group in groups:
        counts[group.file] = counts.get(group.file, 0) + len(group.rules)
    for file, count in counts.items():
        yield f"{file}: {_counted(count, 'rule')}"
    if not counts:
        yield "no rules; the key files of [rules] says where they are"


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


def _configured(config: str | None) -> tuple[Group, ...]:
    from pytest_sergas.engine.rule_files import plan

    file = read_named(Path(config)) if config else read_file(Path.cwd())
    readings = load_sections(file, ("rules", "collect"), environ=os.environ)
    return plan(readings["rules"].settings, file.root, "", readings["collect"].settings.max_age).groups


def _tests(path: Path) -> TestFile:
    from pytest_sergas.engine.rule_files import read

    name, content = read(path, Path())
    return read_tests(content, name)


def _rules_of(path: Path, file: TestFile) -> tuple[Group, ...]:
    from pytest_sergas.engine.rule_files import find, read

    directory = path.absolute().parent
    return read_rules([read(each, directory) for each in find(file.rule_files, directory, f"{path}: rule_files")])
