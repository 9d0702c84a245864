"""``printf`` of templates, as Go's fmt has it.

    https://pkg.go.dev/fmt#hdr-Printing

A verb that does not fit its operand spoils itself alone, and shows what it was given: ``%!d(float64=7)``. Operands are
what templates have: texts, numbers, whole numbers, truth values and labels. What has no place in a template, widths
that are operands (``*``) and operands by number (``[1]``), reads as a verb that does not exist.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from types import MappingProxyType

Value = str | float | int | bool | dict[str, str]

_VERB = re.compile(r"%(?P<flags>[-+# 0]*)(?P<width>\d{0,3})(?:\.(?P<precision>\d{0,3}))?(?P<verb>.?)", re.DOTALL)
_ESCAPES: Mapping[str, str] = MappingProxyType(
    {"\a": r"\a", "\b": r"\b", "\f": r"\f", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\v": r"\v"}
)
_TYPES: Mapping[type, str] = MappingProxyType(
    {bool: "bool", int: "int", float: "float64", str: "string", dict: "map[string]string"}
)


class Form:
    """One verb as it is written, such as ``%-5.2f``."""

    __slots__ = ("flags", "precision", "verb", "width")

    def __init__(self, verb: str, flags: str = "", width: int = 0, precision: int | None = None) -> None:
        self.verb = verb
        self.flags = flags
        self.width = width
        self.precision = precision

    @classmethod
    def of(cls, found: re.Match[str]) -> Form:
        """Return what a match of the verbs' pattern is."""
        precision = None if found["precision"] is None else int(found["precision"] or 0)
        return cls(found["verb"], found["flags"], int(found["width"] or 0), precision)

    def padded(self, text: str, *, zeros: bool = True) -> str:
        """Return ``text`` as wide as is asked for."""
        if "-" in self.flags:
            return text.ljust(self.width)
        if "0" not in self.flags or not zeros:
            return text.rjust(self.width)
        return text.zfill(self.width) if text[:1] in {"+", "-"} else text.rjust(self.width, "0")

    def signed(self, text: str) -> str:
        """Return the text of a number with the sign that is asked for."""
        if text.startswith("-"):
            return text
        return f"{'+' if '+' in self.flags else ' ' if ' ' in self.flags else ''}{text}"


def sprintf(form: str, operands: Sequence[Value]) -> str:
    """Return ``form`` with each verb replaced by its operand."""
    left = list(operands)

    def replaced(found: re.Match[str]) -> str:
        verb = found["verb"]
        if verb == "%":
            return "%"
        if not verb:
            return "%!(NOVERB)"
        return formatted(Form.of(found), left.pop(0)) if left else f"%!{verb}(MISSING)"

    text = _VERB.sub(replaced, form)
    extra = ", ".join(f"{_TYPES[type(value)]}={shown(value)}" for value in left)
    return f"{text}%!(EXTRA {extra})" if left else text


def formatted(form: Form, value: Value) -> str:
    """Return one operand as its verb has it."""
    if form.verb == "T":
        return _text(Form("s", form.flags, form.width, form.precision), _TYPES[type(value)])
    if form.verb == "v":
        is_source = "#" in form.flags  # as it stands in a program
        form = Form("v", form.flags.replace("#", "").replace("+", ""), form.width, form.precision)
        if is_source and isinstance(value, str | dict):
            return _source(form, value)
    return _FORMATS[type(value)](form, value)


def shown(value: Value) -> str:
    """Return what Go prints for a value: the verb ``%v``."""
    match value:
        case bool():
            return str(value).lower()
        case float():
            return shown_float(value)
        case dict():
            return f"map[{' '.join(f'{name}:{text}' for name, text in sorted(value.items()))}]"
        case _:
            return str(value)


def shown_float(value: float) -> str:
    """Return the shortest text that is read as the same number, with an exponent from a million on."""
    if not math.isfinite(value):
        return not_finite(value)
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    power = len(digits) + int(exponent) - 1
    if -4 <= power < 6:
        return f"{value!r}".removesuffix(".0")
    first, *rest = map(str, digits)
    return f"{'-' * sign}{first}{'.' * bool(rest)}{''.join(rest)}e{power:+03d}"


def not_finite(value: float) -> str:
    """Return the text of a number that is none, or infinite."""
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"


def _bad(form: Form, value: Value) -> str:
    plain = Form("v", form.flags, form.width, form.precision)
    return f"%!{form.verb}({_TYPES[type(value)]}={_FORMATS[type(value)](plain, value)})"


def _text(form: Form, value: Value) -> str:
    text = str(value)
    cut = text if form.precision is None else text[: form.precision]
    match form.verb:
        case "s" | "v":
            return form.padded(cut)
        case "q":
            return form.padded(_quoted(form, cut, '"'))
        case "x" | "X":
            data = text.encode()[: form.precision]
            prefix = "0x" if "#" in form.flags and data else ""
            digits = data.hex(" ").replace(" ", f" {prefix}") if " " in form.flags else data.hex()
            return form.padded(f"{prefix}{digits}".upper() if form.verb == "X" else f"{prefix}{digits}")
    return _bad(form, value)


def _source(form: Form, value: str | dict[str, str]) -> str:
    quoting = Form("q", form.flags, form.width, form.precision)
    if isinstance(value, str):
        return _text(quoting, value)
    pairs = (f"{_text(quoting, name)}:{_text(quoting, text)}" for name, text in sorted(value.items()))
    return f"map[string]string{{{', '.join(pairs)}}}"


def _quoted(form: Form, text: str, quote: str) -> str:
    if "#" in form.flags and quote == '"' and "`" not in text and all(map(_is_raw, text)):
        return f"`{text}`"
    only_ascii = "+" in form.flags
    return quote + "".join(_escaped(char, quote, only_ascii=only_ascii) for char in text) + quote


def _is_raw(char: str) -> bool:
    return char.isprintable() or char == "\t"


def _escaped(char: str, quote: str, *, only_ascii: bool) -> str:
    if char in {quote, "\\"}:
        return f"\\{char}"
    if char in _ESCAPES:
        return _ESCAPES[char]
    code = ord(char)
    if char.isprintable() and (code < 0x80 or not only_ascii):
        return char
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


_BASES: Mapping[str, str] = MappingProxyType({"d": "d", "v": "d", "b": "b", "o": "o", "O": "o", "x": "x", "X": "X"})
_PREFIXES: Mapping[str, str] = MappingProxyType({"b": "0b", "o": "0", "x": "0x", "X": "0X"})


def _whole(form: Form, value: Value) -> str:
    assert isinstance(value, int)  # noqa: S101  by the table of types
    match form.verb:
        case "c":
            return form.padded(_character(value))
        case "q":
            return form.padded(_quoted(form, _character(value), "'"))
        case "U":
            code = f"U+{value & (2**64 - 1):0{max(4, form.precision or 0)}X}"
            shown_too = "#" in form.flags and 0 <= value <= 0x10FFFF and chr(value).isprintable()
            return form.padded(f"{code} '{chr(value)}'" if shown_too else code, zeros=False)
        case verb if verb in _BASES:
            return _digits(form, value, _BASES[verb])
    return _bad(form, value)


def _character(code: int) -> str:
    return chr(code) if 0 <= code <= 0x10FFFF else "\ufffd"


def _digits(form: Form, value: int, base: str) -> str:
    prefix = "0o" if form.verb == "O" else _PREFIXES.get(form.verb, "") if "#" in form.flags else ""
    digits = f"{abs(value):{base}}"
    if form.precision is not None:
        if not (form.precision or value):
            return " " * form.width
        digits = digits.zfill(form.precision)
    if prefix == "0" and digits.startswith("0"):
        prefix = ""
    if form.precision is not None:
        return form.padded(form.signed(f"{'-' * (value < 0)}{prefix}{digits}"), zeros=False)
    if "0" in form.flags and "-" not in form.flags and form.width:
        sign = form.signed("-" if value < 0 else "")
        return f"{sign}{prefix}{digits.zfill(form.width - len(sign))}"
    return form.padded(form.signed(f"{'-' * (value < 0)}{prefix}{digits}"))


def _number(form: Form, value: Value) -> str:
    assert isinstance(value, float)  # noqa: S101  by the table of types
    if form.verb not in {"v", "g", "G", "e", "E", "f", "F", "b", "x", "X"}:
        return _bad(form, value)
    if not math.isfinite(value):
        text = not_finite(value)
        signed = form.signed(text.removeprefix("+")) if value != -math.inf else text
        return form.padded(signed if {"+", " "} & set(form.flags) else text, zeros=False)
    verb = "g" if form.verb == "v" else form.verb
    if verb == "b":
        text = _binary(value)
    elif verb in {"x", "X"}:
        text = _hexadecimal(value, form.precision)
        text = text if "." in text or "#" not in form.flags else text.replace("p", ".p")
    elif verb in {"g", "G"} and form.precision is None:
        text = _with_point(value) if "#" in form.flags else shown_float(value)
    else:
        point = "#" if "#" in form.flags else ""
        text = f"{value:{point}.{6 if form.precision is None else form.precision}{verb}}"
    return form.padded(form.signed(text.upper() if verb in {"G", "X"} else text))


def _with_point(value: float) -> str:
    """Return the shortest text that has a point and six digits."""
    text = f"{value:#.6g}"
    return text if float(text) == value else shown_float(value)


def _binary(value: float) -> str:
    """Return a number as a whole one and a power of two: 1 is ``4503599627370496p-52``."""
    if value == 0:
        return f"{'-' * (math.copysign(1, value) < 0)}0p-1074"
    exponent = max(math.frexp(value)[1] - 53, -1074)
    return f"{int(math.ldexp(value, -exponent))}p{exponent:+d}"


def _hexadecimal(value: float, digits: int | None) -> str:
    """Return a number with hexadecimal digits: 1.5 is ``0x1.8p+00``."""
    sign = "-" if math.copysign(1, value) < 0 else ""
    share, exponent = math.frexp(abs(value))
    bits, power = int(share * 2**53), (exponent - 1 if value else 0)  # 1 before the point, 52 behind
    if digits is not None and digits < 13:
        unit = 1 << (52 - 4 * digits)
        below = bits % unit
        bits += (unit if 2 * below > unit or (2 * below == unit and bits // unit % 2) else 0) - below
        if bits >> 53:
            bits, power = bits >> 1, power + 1
    fraction = f"{bits & (2**52 - 1):013x}"
    fraction = fraction.rstrip("0") if digits is None else fraction[:digits].ljust(digits, "0")
    return f"{sign}0x{bits >> 52}{'.' * bool(fraction)}{fraction}p{power:+03d}"


def _truth(form: Form, value: Value) -> str:
    return form.padded(shown(value)) if form.verb in {"t", "v"} else _bad(form, value)


def _labels(form: Form, value: Value) -> str:
    assert isinstance(value, dict)  # noqa: S101  by the table of types
    pairs = (f"{_text(form, name)}:{_text(form, text)}" for name, text in sorted(value.items()))
    return f"map[{' '.join(pairs)}]"


_FORMATS: Mapping[type, Callable[[Form, Value], str]] = MappingProxyType(
    {str: _text, int: _whole, float: _number, bool: _truth, dict: _labels}
)
