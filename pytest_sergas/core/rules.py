"""Rules, as Prometheus' rule files have them: alerts, and series that are worked out from others.

    groups:
      - name: tests
        interval: 30s
        rules:
          - record: type:sergas_tests_failed:sum
            expr: sum by (type) (sergas_tests{outcome="failed"})
          - alert: TestsFailed
            expr: sergas_tests{outcome="failed"} > 0
            for: 5m
            keep_firing_for: 10m
            labels: {severity: error}
            annotations: {summary: "{{ $value }} tests of type {{ $labels.type }} failed"}

What is read here loads in Prometheus 2.42 and later unchanged. What is not supported is a fault, never skipped, as
`promql` and `templates` say. Faults name file, line, group and rule, and all of them are found.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from operator import itemgetter

from pytest_sergas.core.alerts import Active, Alert
from pytest_sergas.core.clock import Now
from pytest_sergas.core.messages import ALERTNAME
from pytest_sergas.core.promql import EvaluationError, Expression, PromqlError, Vector, compile_expression
from pytest_sergas.core.promql.syntax import read_duration
from pytest_sergas.core.promql.vectors import Element, shown
from pytest_sergas.core.rule_document import Entry, entries_of, read_document, text_of
from pytest_sergas.core.series import NAME, Labels, Series, canonical
from pytest_sergas.core.templates import Template, TemplateError, Values, compile_template
from pytest_sergas.core.text import one_line
from pytest_sergas.errors import ConfigurationError

FIELDS = ("alert", "expr", "for", "keep_firing_for", "labels", "annotations")
RECORDING_FIELDS = ("record", "expr", "labels")
GROUP_FIELDS = ("name", "interval", "limit", "rules")

ALERTS = "ALERTS"  # the metric of the alerts themselves

_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)
_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*", re.ASCII)

Texts = tuple[tuple[str, Template], ...]


@dataclass(frozen=True, slots=True)
class _Evaluated:
    """What alerts and recordings have in common.

    Attributes:
        file, line, group: where it stands.
            name: of the alert, or of the metric that is recorded.
    """

    file: str
    line: int
    group: str
    name: str
    expression: Expression

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line}: group {self.group!r}, rule {self.name!r}"

    @property
    def window_s(self) -> float:
        """How far back it looks at most."""
        return max((selector.window_s for selector in self.expression.selectors), default=0.0)


@dataclass(frozen=True, slots=True)
class Recording(_Evaluated):
    """A rule that makes series of the metric ``name``.

    Attributes:
        labels: what each series gets beside its own labels; an empty one takes a label away.
        identity: as in `Rule`.
        limit: how many series it may make at once; 0 for any number.
    """

    labels: Labels = ()
    identity: str = ""
    limit: int = 0

    def samples(self, elements: Vector) -> list[tuple[Labels, float]]:
        """Return labels and value of each series.

        Raises:
            EvaluationError: two of them have the same labels, or there are more than the limit.
        """
        _check_limit(len(elements), self.limit, "series")
        found: dict[Labels, float] = {}
        for _, labels, value in elements:
            own = canonical({**dict(labels), **dict(self.labels)}.items())
            if own in found:
                raise EvaluationError(f"two series have the labels {shown(own)}; let them differ")
            found[own] = value
        return list(found.items())


@dataclass(frozen=True, slots=True)
class Rule(_Evaluated):
    """An alerting rule.

    Attributes:
        identity: names it across reloads and restarts: file, group, name, labels, and what of several alike is said.
        limit: how many alerts it may have at once; 0 for any number.
    """

    for_s: float = 0.0
    keep_firing_for_s: float = 0.0
    labels: Texts = ()
    annotations: Texts = field(default=(), repr=False)
    identity: str = ""
    limit: int = 0

    @property
    def alert(self) -> str:
        return self.name

    def alerts(self, elements: Vector, external_url: str = "") -> tuple[Active, ...]:
        """Return the alert of each element.

        Raises:
            EvaluationError: two of them have the same labels, or there are more than the limit.
        """
        _check_limit(len(elements), self.limit, "alerts")
        found: dict[Labels, Active] = {}
        for element in elements:
            active = self._alert(element, external_url)
            if active.labels in found:
                raise EvaluationError(f"two alerts have the labels {shown(active.labels)}; let them differ")
            found[active.labels] = active
        return tuple(found.values())

    def gone(self, followed: Iterable[Labels], series: Sequence[Sequence[Series]], now: Now) -> frozenset[Labels]:
        """Return which of the alerts ``followed`` have no series any more; of the others the condition is false.

        Where that cannot be said, because without its comparisons the expression has no result, there are none.
        """
        varying = {name for name, template in self.labels if not template.is_constant}

        def told_apart(labels: Labels) -> Labels:
            return tuple(pair for pair in labels if pair[0] not in varying)

        try:
            elements = self.expression.evaluate(series, now, filtering=False)
        except EvaluationError:
            return frozenset()
        there = {told_apart(self._alert(element, "").labels) for element in elements}
        return frozenset(labels for labels in followed if told_apart(labels) not in there)

    def could_have(self, labels: Labels) -> bool:
        """Whether an alert with ``labels`` may be one of this rule: its name and its fixed labels are in them."""
        given = dict(labels)
        fixed = ((name, template.source) for name, template in self.labels if template.is_constant)
        return given.get(ALERTNAME) == self.name and all(given.get(name, "") == value for name, value in fixed)

    def _alert(self, element: Element, external_url: str) -> Active:
        name, own, value = element
        values = Values(((NAME, name), *own) if name else own, value, external_url)
        labels = {**dict(own), **{key: template.expand(values) for key, template in self.labels}, ALERTNAME: self.alert}
        annotations = tuple((key, template.expand(values)) for key, template in self.annotations)
        return Active(canonical(labels.items()), value, annotations)


@dataclass(frozen=True, slots=True)
class Group:
    """Rules that are evaluated at the same moments.

    Attributes:
        interval_s: seconds from one evaluation to the next, or None for what the configuration says.
    """

    file: str
    name: str
    rules: tuple[Rule | Recording, ...]
    interval_s: float | None = None

    @property
    def alerts(self) -> tuple[Rule, ...]:
        """Those of the rules that are alerts."""
        return tuple(rule for rule in self.rules if isinstance(rule, Rule))


def alert_labels(alert: Alert) -> Labels:
    """Return the labels of the series that an alert is, of the metric `ALERTS`."""
    return canonical({**dict(alert.labels), "alertstate": alert.state.value}.items())


def _check_limit(count: int, limit: int, noun: str) -> None:
    if limit and count > limit:
        raise EvaluationError(f"there are {count} {noun}, more than the group's limit of {limit}")


def read_rules(files: Iterable[tuple[str, str]]) -> tuple[Group, ...]:
    """Read rule files, given as pairs of name and content.

    Raises:
        ConfigurationError: with every fault of all files.
    """
    faults: list[str] = []
    groups = [group for file, content in files for group in _groups(read_document(content, file, faults))]
    if faults:
        raise ConfigurationError(tuple(faults))
    return tuple(groups)


def read_duration_of(entry: Entry) -> float:
    """Return the seconds that an entry says; a fault of it is noted."""
    try:
        return read_duration(entry.text())
    except PromqlError as error:
        entry.fault(str(error))
        return 0.0


def read_expression_of(entry: Entry) -> Expression | None:
    """Return the expression that an entry says; a fault of it is noted, and then there is none."""
    source = entry.text()
    try:
        return compile_expression(source)
    except PromqlError as error:
        entry.fault(f"{one_line(source, 80)!r} {error}")
        return None


def _groups(top: Entry | None) -> Iterator[Group]:
    fields = top.fields(("groups",)) if top is not None else {}
    names: set[str] = set()
    for entry in entries_of(fields, "groups"):
        name = entry.peek("name")
        entry = entry.inside(f"group {name!r}")  # noqa: PLW2901  from here on its faults name the group
        if not name:
            entry.fault("a group has to have a name")
        elif name in names:
            entry.fault("there are two groups of this name in the file")
        names.add(name)
        yield _group(entry, name)


def _group(entry: Entry, name: str) -> Group:
    fields = entry.fields(GROUP_FIELDS)
    limit = _whole(fields["limit"]) if "limit" in fields else 0
    interval_s = read_duration_of(fields["interval"]) if "interval" in fields else 0.0
    rules: list[Rule | Recording] = []
    for item in entries_of(fields, "rules"):
        read = _recording if item.peek("record") else _rule
        which = item.peek("alert") or item.peek("record")
        rule = read(item.inside(f"group {name!r}", f"rule {which!r}"), name, limit)
        if rule is not None:
            rules.append(rule)
    return Group(entry.file, name, _told_apart(rules), interval_s or None)


def _told_apart(rules: Sequence[Rule | Recording]) -> tuple[Rule | Recording, ...]:
    """Return ``rules`` with identities of their own: those that are alike by their expressions, wherever they stand."""
    alike = Counter(rule.identity for rule in rules)
    seen: Counter[str] = Counter()
    apart: list[Rule | Recording] = []
    for rule in rules:
        identity = rule.identity
        if alike[identity] > 1:
            identity += "#" + hashlib.sha256(rule.expression.source.encode()).hexdigest()[:16]
            seen[identity] += 1
            identity += f"#{seen[identity]}" if seen[identity] > 1 else ""
        apart.append(replace(rule, identity=identity))
    return tuple(apart)


def _rule(entry: Entry, group: str, limit: int) -> Rule | None:
    """Read a rule; None when it has a fault."""
    before = len(entry.faults)
    fields = entry.fields(FIELDS)
    alert = text_of(fields, "alert")
    if not alert:
        entry.fault("'alert' is missing, the name of the alert")
    if not text_of(fields, "expr"):
        entry.fault("'expr' is missing, the condition")
        return None
    expression = read_expression_of(fields["expr"])
    for_s = read_duration_of(fields["for"]) if "for" in fields else 0.0
    keep_s = read_duration_of(fields["keep_firing_for"]) if "keep_firing_for" in fields else 0.0
    labels = _texts(fields["labels"]) if "labels" in fields else ()
    annotations = _texts(fields["annotations"]) if "annotations" in fields else ()
    if expression is None or len(entry.faults) > before:
        return None
    own = shown(tuple((name, template.source) for name, template in labels))
    identity = f"{entry.file};{group};{alert}{own}"
    place = (entry.file, entry.line, group)
    return Rule(*place, alert, expression, for_s, keep_s, labels, annotations, identity, limit)


def _recording(entry: Entry, group: str, limit: int) -> Recording | None:
    """Read a rule that records; None when it has a fault."""
    before = len(entry.faults)
    fields = entry.fields(RECORDING_FIELDS)
    record = text_of(fields, "record")
    if not _METRIC.fullmatch(record):
        entry.fault(f"{one_line(record, 80)!r} is not a metric name; allowed: letters, digits, _ and :, no digit first")
    if not text_of(fields, "expr"):
        entry.fault("'expr' is missing, what is recorded")
        return None
    expression = read_expression_of(fields["expr"])
    labels = {}
    for name, value in fields["labels"].table().items() if "labels" in fields else ():
        if not _LABEL.fullmatch(name) or name == NAME:
            value.fault(f"{one_line(name, 80)!r} is not a name; allowed: letters, digits and _, no digit first")
        labels[name] = value.text()
    if expression is None or len(entry.faults) > before:
        return None
    own = tuple(sorted(labels.items()))
    identity = f"{entry.file};{group};record {record}{shown(own)}"
    return Recording(entry.file, entry.line, group, record, expression, own, identity, limit)


def _texts(entry: Entry) -> Texts:
    """Read a table of templates: labels or annotations."""
    found = []
    for name, value in entry.table().items():
        if not _LABEL.fullmatch(name) or name == NAME:
            value.fault(f"{one_line(name, 80)!r} is not a name; allowed: letters, digits and _, no digit first")
            continue
        try:
            found.append((name, compile_template(value.text())))
        except TemplateError as error:
            value.fault(str(error))
    return tuple(sorted(found, key=itemgetter(0)))


def _whole(entry: Entry) -> int:
    text = entry.text()
    # Prometheus takes no number in quotes, and one that begins with 0 as octal.
    if not entry.is_number or not re.fullmatch(r"0|[1-9]\d{0,8}", text, re.ASCII):
        entry.fault(f"{one_line(text, 80)!r} is not a whole number, 0 or more")
        return 0
    return int(text)
