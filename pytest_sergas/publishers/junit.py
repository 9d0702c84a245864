"""The JUnit file that pytest has written, put right from our records: one test case for each test.

pytest-rerunfailures leaves a case for every attempt in it, of which the failed ones look as if they had
passed; a failed call with a failed teardown makes two cases, a worker that died one without a name; subtests
and teardowns are counted that have no case. Afterwards:

- the cases of one test are one, where the first of them stood, with the time of the attempt that decided;
- its failed attempts are elements of that case in the form of Maven Surefire
  (https://maven.apache.org/surefire/maven-surefire-plugin/examples/rerun-failing-tests.html):
  ``flakyFailure`` and ``flakyError`` where the test did not fail in the end, ``rerunFailure`` and
  ``rerunError`` where it did. Where Surefire's ``failure`` is that of the first run, ours is that of the last,
  because the last attempt decides here;
- ``tests``, ``failures``, ``errors`` and ``skipped`` count cases: failed before error before skipped;
- everything else, whoever put it there, stays: attributes, properties, output, order.

A file in which there is nothing to put right is not touched. One that cannot be read, or in which a repeated
test is not found, stays as pytest wrote it, and the run says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_sergas.core.records import FAILURES, MASKED, AttemptRecord, Outcome, RunRecord, TestRecord
from pytest_sergas.errors import PublishError
from pytest_sergas.publishers import Context, Publication
from pytest_sergas.publishers.files import write_atomically

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

# Surefire's order of a case's elements; pytest's own properties come before, and what is unknown after them.
_ORDER = ("properties", "failure", "rerunFailure", "flakyFailure", "skipped", "error", "rerunError", "flakyError")
_PASSED = frozenset({Outcome.PASSED, Outcome.FLAKY, Outcome.XPASSED})
_ERRORS = frozenset({Outcome.ERROR, Outcome.CRASHED})
_OUTPUT = ("system-out", "system-err")
# What XML cannot hold, and the DEL character, as pytest has it.
_ILLEGAL = re.compile("[^\t\n\r -~\x80-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_EXCEPTION = re.compile(r"[A-Za-z_][\w.]*(?=:|$)")
_CUT = re.compile(r"\[\.\.\. \d+ characters cut \.\.\.\]")


class _Unlike(Exception):
    """The file and the records are not about the same tests; the text says where."""


def create(context: Context) -> JUnit | None:
    """Return the publisher when pytest writes a JUnit file."""
    return JUnit(context.junit_path, context.junit_prefix) if context.junit_path is not None else None


@dataclass(frozen=True, slots=True)
class JUnit:
    """Puts the file right, after pytest has written it.

    Attributes:
        prefix: what pytest puts before its class names there.
    """

    path: Path
    prefix: str = ""
    name: str = "junit"

    @property
    def writes(self) -> tuple[Path, ...]:
        return (self.path,)

    def publish(self, run: RunRecord, remaining_s: Callable[[], float]) -> Publication:
        del remaining_s  # nothing here can wait, but for a disk that nothing can interrupt
        from xml.etree.ElementTree import ParseError

        if self.path.exists() and not self.path.is_file():
            return Publication()  # /dev/stdout, or a pipe: what was written there cannot be read again
        try:
            mended = mend(self.path.read_bytes(), run.tests, self.prefix)
        except OSError as error:
            raise PublishError(f"{self.path} cannot be read: {error.strerror}") from error
        except (ParseError, _Unlike) as error:
            raise PublishError(f"{self.path} stays as pytest wrote it: {error}") from error
        if mended is not None:
            write_atomically(self.path, mended)
        return Publication()


def mend(document: bytes, tests: Sequence[TestRecord], prefix: str) -> bytes | None:
    """Return ``document`` put right, or None when there is nothing to put right.

    Args:
        document: a JUnit file as pytest writes it.
        tests: the records of the same run.
        prefix: what pytest puts before its class names.

    Raises:
        xml.etree.ElementTree.ParseError: the document is not XML.
        _Unlike: it is not a JUnit file of pytest, or a repeated test is not in it.
    """
    from xml.etree import ElementTree as ET

    root = ET.fromstring(document)  # noqa: S314  pytest has written it a moment ago
    suite = root if root.tag == "testsuite" else root.find("testsuite")
    if suite is None or len(root.findall("testsuite")) > 1:
        raise _Unlike("it does not have one testsuite")
    changed = _mend_cases(suite, tests, prefix)
    changed |= _count(suite)
    if not changed:
        return None
    text = ET.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>{text}'.encode()


def _mend_cases(suite: Element, tests: Sequence[TestRecord], prefix: str) -> bool:
    cases: dict[str, list[Element]] = {}
    for case in suite.iter("testcase"):
        cases.setdefault(_key(case), []).append(case)
    records = _by_key(tests, cases, prefix)
    # A worker that died, or an end in the middle of a test, leaves a case of which nothing but the time is known.
    superfluous = {case for case in suite.iter("testcase") if case.keys() == ["time"] and not len(case)}
    changed = bool(superfluous)
    for key, found in cases.items():
        belonging = records.get(key, [])
        repeated = any(test.repeated for test in belonging)
        if len(belonging) == 1 and (repeated or len(found) > 1):
            superfluous.update(_join(found, belonging[0]))
            changed = True
        elif repeated:
            # Collected twice, or on every worker: which attempt is whose is not in the file.
            raise _Unlike(f"{len(belonging)} tests have the name {key!r} there, and one was repeated")
        if len(belonging) == 1:
            changed |= _drop_of_subtests(found[0], belonging[0])
    for case in suite.findall("testcase"):
        # Who reads that a failed test was skipped would look no further.
        if case.find("failure") is not None or case.find("error") is not None:
            changed |= _drop_skipped(case)
    for case in superfluous:
        suite.remove(case)
    return changed


def _by_key(
    tests: Iterable[TestRecord], cases: Mapping[str, object], prefix: str
) -> Mapping[str, Sequence[TestRecord]]:
    found: dict[str, list[TestRecord]] = {}
    for test in tests:
        key = _address(test.node_id, prefix)
        if key not in cases and test.repeated and (cut := _CUT.search(key)):
            alike = [name for name in cases if name.startswith(key[: cut.start()]) and name.endswith(key[cut.end() :])]
            key = alike[0] if len(alike) == 1 else key
        if key not in cases and test.repeated:
            raise _Unlike(f"{test.node_id} was repeated and is not in it")
        found.setdefault(key, []).append(test)
    return found


def _key(case: Element) -> str:
    names = (case.get("classname", ""), case.get("name", ""))
    return ".".join(filter(None, names)).replace("::", ".")


def _address(node_id: str, prefix: str) -> str:
    """Return class name and name of a node id as they stand in the file, with a dot between them.

    pytest turns ``a/test_b.py::TestC::test_d[1]`` into the class a.test_b.TestC and the name test_d[1]. Where the
    one ends and the other begins cannot be told from a node id whose parameter holds ``::``, so that neither
    side looks.
    """
    path, _, rest = node_id.partition("::")
    module = path.replace("/", ".").removesuffix(".py")
    return escape(".".join(filter(None, (prefix, module, rest))).replace("::", "."))


def _join(cases: Sequence[Element], test: TestRecord) -> Sequence[Element]:
    """Make the first of a test's cases the only one; return the others."""
    only, others = cases[0], cases[1:]
    earlier = min(len(test.attempts) - 1, len(cases) - 1)
    attempts = [_outputs(case) for case in cases[:earlier]]
    deciding = cases[earlier:]
    attributes = {name: value for case in deciding for name, value in case.attrib.items()}
    elements = [element for case in deciding for element in case]
    repeated = [
        _repetition(attempt, failed=test.outcome in FAILURES, output=attempts[number] if number < earlier else ())
        for number, attempt in enumerate(test.attempts[:-1])
        if attempt.outcome in FAILURES and (test.outcome in FAILURES or attempt.outcome is not Outcome.OVER_BUDGET)
    ]
    time_s = sum(float(case.get("time") or 0) for case in deciding)
    only.attrib.update(attributes)
    only.set("time", f"{time_s:.3f}")
    only[:] = sorted((*elements, *repeated), key=_rank)
    return others


def _repetition(attempt: AttemptRecord, *, failed: bool, output: Sequence[Element]) -> Element:
    """Return a failed attempt that did not decide, in Surefire's form."""
    from xml.etree.ElementTree import Element, SubElement

    tag = ("rerun" if failed else "flaky") + ("Error" if attempt.outcome in _ERRORS else "Failure")
    element = Element(tag, message=escape(attempt.message), type=escape(_exception(attempt)))
    SubElement(element, "stackTrace").text = escape(attempt.trace or attempt.message)
    element.extend(output)
    return element


def _exception(attempt: AttemptRecord) -> str:
    """Return the exception's name, with which pytest begins the message of all but plain assertions."""
    match = _EXCEPTION.match(attempt.message.partition("\n")[0])
    if match is not None:
        return match[0]
    return "AssertionError" if attempt.message.startswith("assert ") else attempt.outcome.value


def _outputs(case: Element) -> list[Element]:
    return [element for element in case if element.tag in _OUTPUT]


def _rank(element: Element) -> int:
    return _ORDER.index(element.tag) if element.tag in _ORDER else len(_ORDER)


def _drop_of_subtests(case: Element, test: TestRecord) -> bool:
    """Drop what skipped subtests say of a test that passed, or that failed in quarantine; return whether any."""
    is_quarantined = test.outcome is Outcome.QUARANTINED
    outcome = test.last.outcome if is_quarantined else test.outcome
    if outcome in _PASSED:
        return _drop_skipped(case)
    return is_quarantined and outcome in FAILURES and _drop_skipped(case, but=MASKED)


def _drop_skipped(case: Element, *, but: str = "") -> bool:
    """Drop what subtests that were skipped, or a phase, say of a test that was not; return whether there was some.

    Args:
        but: how the messages of those begin that stay; "" where none does.
    """
    found = case.findall("skipped")
    skipped = [element for element in found if not but or not element.get("message", "").startswith(but)]
    for element in skipped:
        case.remove(element)
    return bool(skipped)


def _count(suite: Element) -> bool:
    """Set the suite's counts to those of its cases; return whether one was different."""
    counts = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}
    for case in suite.iter("testcase"):
        counts["tests"] += 1
        for tag, name in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
            if case.find(tag) is not None:
                counts[name] += 1
                break
    before = dict(suite.attrib)
    suite.attrib.update({name: str(number) for name, number in counts.items()})
    return suite.attrib != before


def escape(text: str) -> str:
    """Return ``text`` as XML can hold it; what it cannot is written as pytest writes it there: ``#x1B``."""
    return _ILLEGAL.sub(
        lambda match: f"#x{ord(match[0]):02X}" if match[0] <= "\xff" else f"#x{ord(match[0]):04X}", text
    )
