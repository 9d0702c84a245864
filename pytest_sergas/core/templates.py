"""Templates of labels and annotations: the part of Prometheus' template language that needs nothing but the alert.

    https://prometheus.io/docs/prometheus/latest/configuration/template_reference/

    {{ $labels.type }}  {{ .Labels.type }}  {{ index $labels "type" }}  {{ $value }}  {{ $externalURL }}
    {{ $value | humanize }}  {{ printf "%.1f %%" $value }}  {{ toUpper (printf "%v" $value) }}
    {{ if gt $value 10.0 }} ... {{ else if ... }} ... {{ else }} ... {{ end }}  {{- trimmed -}}  {{/* comment */}}

What would ask for other series (query, first, ...), loop or define is refused when the rule is read. What goes wrong
when it is expanded, such as a text that is no number, becomes the text of the annotation, as in Prometheus: an alert
with a broken description is better than none.

    template := { text | "{{" action "}}" }
    action   := pipeline | "if" pipeline | "else" [ "if" pipeline ] | "end"
    pipeline := command { "|" command }
    command  := operand | function { operand }
    operand  := variable | text | number | "true" | "false" | "(" pipeline ")"
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from pytest_sergas.core.printf import Value, shown
from pytest_sergas.core.series import Labels
from pytest_sergas.core.template_functions import FUNCTIONS, ExpansionError, is_true

LIMIT = 100_000  # characters of one expanded text

_DEPTH_LIMIT = 50
_ACTION = re.compile(r"\{\{(-(?=\s))?(.*?)((?<=\s)-)?\}\}", re.DOTALL)
_COMMENT = re.compile(r"\s*/\*.*\*/\s*", re.DOTALL)
_TOKEN = re.compile(
    r"""\s*(?:
        (?P<text>"(?:\\.|[^"\\\n])*"|`[^`]*`)
      | (?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(?![\w.])
      | (?P<field>(?:\$[A-Za-z_]\w*|\.[A-Za-z_]\w*)(?:\.[A-Za-z_]\w*)*)
      | (?P<word>[A-Za-z_]\w*)
      | (?P<sign>[|()])
    )""",
    re.VERBOSE,
)
_VARIABLES = {
    "$labels": "labels",
    ".Labels": "labels",
    "$value": "value",
    ".Value": "value",
    "$externalLabels": "external_labels",
    ".ExternalLabels": "external_labels",
    "$externalURL": "external_url",
    ".ExternalURL": "external_url",
}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\", "'": "'"}


class TemplateError(ValueError):
    """A template is not taken; the text says why."""


@dataclass(frozen=True, slots=True)
class Values:
    """What a template is expanded with.

    Attributes:
        labels: of the element that the alert is about, with its name.
        value: of the element.
        external_url: where people reach the sidecar, or "".
    """

    labels: Labels
    value: float
    external_url: str = ""

    def get(self, name: str) -> Value:
        match name:
            case "labels":
                return dict(self.labels)
            case "value":
                return self.value
            case "external_url":
                return self.external_url
            case _:
                return {}  # a sidecar has no external labels


Expand = Callable[[Values], Value]


@dataclass(frozen=True, slots=True)
class Template:
    """A template that can be expanded; made by `compile_template`."""

    source: str
    _parts: Sequence[Expand] = field(repr=False)

    @property
    def is_constant(self) -> bool:
        """Whether it is the same text for every alert."""
        return "{{" not in self.source

    def expand(self, values: Values) -> str:
        """Return the text; where an action cannot be carried out, a text that says so and why."""
        try:
            text = _joined(self._parts, values)
        except ExpansionError as error:
            return f"<error expanding template: {error}>"
        return text if len(text) <= LIMIT else text[:LIMIT]


def compile_template(source: str) -> Template:
    """Read a template.

    Raises:
        TemplateError: it is not taken.
    """
    return Template(source, _Parser(source).template())


def _joined(parts: Sequence[Expand], values: Values) -> str:
    return "".join(shown(part(values)) for part in parts)


@dataclass(frozen=True, slots=True)
class _Piece:
    """Text, or what stands in one pair of braces."""

    kind: Literal["text", "action"]
    source: str


def _pieces(source: str) -> Iterator[_Piece]:
    """Return text and actions in turn; the space beside ``{{-`` and ``-}}`` goes."""
    end = 0
    trims = False
    for found in _ACTION.finditer(source):
        text = source[end : found.start()]
        text = text.lstrip() if trims else text
        yield _Piece("text", text.rstrip() if found[1] else text)
        if not _COMMENT.fullmatch(found[2]):
            yield _Piece("action", found[2].strip())
        end, trims = found.end(), bool(found[3])
    rest = source[end:]
    if "{{" in rest:
        raise TemplateError("'{{' has no '}}'")
    yield _Piece("text", rest.lstrip() if trims else rest)


class _Parser:
    """Reads one template, by recursive descent."""

    def __init__(self, source: str) -> None:
        self._pieces = list(_pieces(source))
        self._next = 0

    def template(self) -> list[Expand]:
        parts, ended_by = self._block(0)
        if ended_by:
            raise TemplateError(f"{{{{ {ended_by} }}}} has no {{{{ if }}}}")
        return parts

    def _block(self, depth: int) -> tuple[list[Expand], str]:
        """Read up to the end of the block; return its parts, and the action that ended it."""
        if depth > _DEPTH_LIMIT:
            raise TemplateError(f"has more than {_DEPTH_LIMIT} blocks in each other")
        parts: list[Expand] = []
        while self._next < len(self._pieces):
            piece = self._pieces[self._next]
            self._next += 1
            word = piece.source.split(maxsplit=1)[0] if piece.kind == "action" and piece.source else ""
            if piece.kind == "text":
                parts.append(_constant(piece.source))
            elif word in {"else", "end"}:
                return parts, piece.source
            elif word == "if":
                parts.append(self._if(piece.source[2:], depth))
            else:
                parts.append(_Pipeline(piece.source).read())
        return parts, ""

    def _if(self, condition: str, depth: int) -> Expand:
        holds = _Pipeline(condition).read()
        yes, ended_by = self._block(depth + 1)
        no: list[Expand] = []
        words = ended_by.split(maxsplit=1)
        if words[:1] == ["else"]:
            rest = words[1] if len(words) > 1 else ""
            if rest.split(maxsplit=1)[:1] == ["if"]:
                no, ended_by = [self._if(rest[2:], depth + 1)], "end"
            elif rest:
                raise TemplateError(f"{{{{ {ended_by} }}}} is not understood; allowed: else, else if")
            else:
                no, ended_by = self._block(depth + 1)
        if ended_by != "end":
            raise TemplateError(f"{{{{ if{condition} }}}} has no {{{{ end }}}}")
        return lambda values: _joined(yes if is_true(holds(values)) else no, values)


class _Pipeline:
    """Reads what stands in one pair of braces."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._tokens: list[tuple[str, str]] = []
        end = 0
        while end < len(source.rstrip()):
            found = _TOKEN.match(source, end)
            if found is None or found.lastgroup is None:
                raise TemplateError(f"{{{{ {source.strip()} }}}} is not understood at {source[end:].strip()[:20]!r}")
            self._tokens.append((found.lastgroup, found[found.lastgroup]))
            end = found.end()

    def read(self) -> Expand:
        if not self._tokens:
            raise TemplateError("{{ }} is empty")
        expand = self._pipeline(0)
        if self._tokens:
            raise TemplateError(f"{{{{ {self._source.strip()} }}}} is not understood at {self._tokens[0][1]!r}")
        return expand

    def _pipeline(self, depth: int) -> Expand:
        if depth > _DEPTH_LIMIT:
            raise TemplateError(f"has more than {_DEPTH_LIMIT} parentheses in each other")
        expand = self._command(None, depth)
        while self._tokens and self._tokens[0] == ("sign", "|"):
            self._tokens.pop(0)
            expand = self._command(expand, depth)
        return expand

    def _command(self, piped: Expand | None, depth: int) -> Expand:
        kind, text = self._tokens[0] if self._tokens else ("", "")
        if kind != "word" or text in _CONSTANTS:
            if piped is not None:
                raise TemplateError(f"{{{{ {self._source.strip()} }}}}: a function has to stand after '|'")
            return self._operand(depth)
        self._tokens.pop(0)
        if (function := FUNCTIONS.get(text)) is None:
            raise TemplateError(f"the function {text!r} is not supported; supported: {', '.join(sorted(FUNCTIONS))}")
        operands: list[Expand] = []
        while self._tokens and self._tokens[0] not in {("sign", "|"), ("sign", ")")}:
            operands.append(self._operand(depth))
        if piped is not None:
            operands.append(piped)
        if not function.least <= len(operands) <= function.most:
            raise TemplateError(f"{text} takes {function.arity}, not {len(operands)}")
        return lambda values: function.call([operand(values) for operand in operands])

    def _operand(self, depth: int) -> Expand:
        kind, text = self._tokens.pop(0) if self._tokens else ("", "")
        match kind:
            case "text":
                return _constant(_unquoted(text))
            case "number":
                return _constant(int(text) if text.lstrip("+-").isdigit() else float(text))
            case "field":
                return _field(text)
            case "word" if text in _CONSTANTS:
                return _constant(_CONSTANTS[text])
            case "word":
                raise TemplateError(f"{text} with its operands has to stand in parentheses here")
        if text != "(":
            raise TemplateError(f"{{{{ {self._source.strip()} }}}}: an operand is missing")
        inner = self._pipeline(depth + 1)
        if not self._tokens or self._tokens.pop(0) != ("sign", ")"):
            raise TemplateError(f"{{{{ {self._source.strip()} }}}}: ')' is missing")
        return inner


_CONSTANTS = {"true": True, "false": False}


def _constant(value: Value) -> Expand:
    return lambda _values: value


def _field(text: str) -> Expand:
    """A variable, and what is chosen of it: ``$labels.type``."""
    first, *rest = re.findall(r"[$.]\w+", text)
    if (name := _VARIABLES.get(first)) is None:
        raise TemplateError(f"{first!r} is not known; known: {', '.join(_VARIABLES)}")
    if len(rest) > (1 if name.endswith("labels") else 0):
        raise TemplateError(f"{text!r} does not exist; labels are $labels.NAME")
    if not rest:
        return lambda values: values.get(name)
    label = rest[0][1:]

    def expand(values: Values) -> Value:
        labels = values.get(name)
        return labels.get(label, "") if isinstance(labels, dict) else ""

    return expand


def _unquoted(text: str) -> str:
    if text.startswith("`"):
        return text[1:-1]

    def unescaped(found: re.Match[str]) -> str:
        if found[1] not in _ESCAPES:
            raise TemplateError(f'{found[0]!r} in {text} is not supported; supported: \\n \\t \\r \\" \\\\')
        return _ESCAPES[found[1]]

    return re.sub(r"\\(.)", unescaped, text[1:-1])
