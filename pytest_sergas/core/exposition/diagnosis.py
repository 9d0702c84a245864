"""What is wrong with a line that does not match: slower, and only then."""

from __future__ import annotations

import re

from pytest_sergas.core.exposition.format import INSIDE, NAME, NUMBER, QUOTED

_SHOWN = 80  # characters of what is wrong


class Wrong(Exception):
    """What is wrong with a line, and at which column."""

    def __init__(self, index: int, text: str) -> None:
        self.column = index + 1
        self.text = text


_AFTER_NAME = re.compile(rf"[ \t]*({NAME})?[ \t]*")
_LABEL_NAME = re.compile(r"[ \t]*([a-zA-Z_][a-zA-Z0-9_]*)?[ \t]*(=)?[ \t]*(\")?")
_LABEL_INSIDE = re.compile(rf"[ \t]*[a-zA-Z_][a-zA-Z0-9_]*[ \t]*=[ \t]*{QUOTED}[ \t]*(?:,|(?=\}}))")
_INSIDE = re.compile(INSIDE)
_WORD = re.compile(r"[^ \t]*")
_WORD_GAP = re.compile(r"[ \t]*")


def diagnosed(line: str) -> Wrong:
    head = _AFTER_NAME.match(line)
    assert head is not None  # noqa: S101  it matches nothing, too
    if head[1] is None:
        return Wrong(head.end(), f"invalid metric name {shown(_word(line, head.end()))}")
    if line[head.end() : head.end() + 1] == "{":
        return _diagnosed_block(line, head.end() + 1)
    return _diagnosed_value(line, head.end())


def _diagnosed_block(line: str, start: int) -> Wrong:
    position = start
    while found := _LABEL_INSIDE.match(line, position):
        position = found.end()
    end = _WORD_GAP.match(line, position)
    position = end.end() if end else position
    if line[position : position + 1] != "}":
        return diagnosed_label(line, position, 0)
    gap = _WORD_GAP.match(line, position + 1)
    return _diagnosed_value(line, gap.end() if gap else position + 1)


def diagnosed_label(block: str, position: int, start: int) -> Wrong:
    found = _LABEL_NAME.match(block, position)
    assert found is not None  # noqa: S101  it matches nothing, too
    name, equals, quote = found.groups()
    at = start + found.end()
    if name is None:
        return Wrong(at, f"invalid label name {shown(_word(block, found.end()))}")
    if equals is None:
        return Wrong(at, f"expected '=' after label name {shown(name)}")
    if quote is None:
        return Wrong(at, f"expected '\"' at the start of the value of label {shown(name)}")
    inside = _INSIDE.match(block, found.end())
    assert inside is not None  # noqa: S101  it matches nothing, too
    at = start + inside.end()
    if inside.end() == len(block):
        return Wrong(at, f"the value of label {shown(name)} does not end on its line")
    if block[inside.end()] == "\\":
        return Wrong(at, rf"invalid escape sequence in label {shown(name)}; allowed: \\, \" and \n")
    return Wrong(at + 1, f"expected ',' or '}}' after the value of label {shown(name)}")


def _diagnosed_value(line: str, position: int) -> Wrong:
    word = _word(line, position)
    if not re.fullmatch(NUMBER, word):
        return Wrong(position, f"expected a number as value, got {shown(word)}")
    rest = line[position + len(word) :]
    at = position + len(word) + len(rest) - len(rest.lstrip(" \t"))
    stamp = _word(line, at)
    if not re.fullmatch(r"[+-]?[0-9]+", stamp):
        return Wrong(at, f"expected milliseconds as timestamp, got {shown(stamp)}")
    return Wrong(at + len(stamp), f"unexpected text after the timestamp: {shown(line[at + len(stamp) :].strip())}")


def check_comment(line: str) -> None:
    """Raise for a HELP or TYPE line whose name is none; any other comment is nobody's business."""
    found = re.fullmatch(rf"[ \t]*#[ \t]*(?:HELP|TYPE)[ \t]++(?!(?:{NAME})?[ \t]*\Z)(.*)", line, re.DOTALL)
    if found:
        raise Wrong(found.start(1), f"invalid metric name {shown(_word(found[1], 0))} in a comment")


def _word(text: str, position: int) -> str:
    found = _WORD.match(text, position)
    return found[0] if found else ""


def shown(value: str | None) -> str:
    return "nothing" if value is None else repr(value if len(value) <= _SHOWN else f"{value[:_SHOWN]}...")
