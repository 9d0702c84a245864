"""Documents of YAML, read strictly: where each entry stands, and every fault that it has.

Scalars are taken as they are written, whatever YAML takes them for: ``for: 5m`` and ``severity: 1`` are texts, as in
Prometheus. A key that nobody knows, or that stands there twice, is a fault, and so is a second document in the file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pytest_sergas.core import kinds
from pytest_sergas.core.text import one_line

_NULL = "tag:yaml.org,2002:null"
_INT = "tag:yaml.org,2002:int"
_MERGE = "tag:yaml.org,2002:merge"


@dataclass(frozen=True, slots=True)
class Entry:
    """A node of a document.

    Attributes:
        file, path: where it stands, in words.
        faults: takes what is wrong.
    """

    node: Any = field(repr=False)
    file: str
    faults: list[str] = field(repr=False)
    path: tuple[str, ...] = ()

    @property
    def line(self) -> int:
        return int(self.node.start_mark.line) + 1

    @property
    def is_number(self) -> bool:
        """Whether it is a whole number to YAML, and no text of digits."""
        return bool(self.node.tag == _INT)

    def inside(self, *path: str) -> Entry:
        """Return the same entry, whose place has other words."""
        return replace(self, path=path)

    def fault(self, text: str) -> None:
        """Note that something is wrong here."""
        where = f"{self.file}:{self.line}: {', '.join(self.path)}"
        self.faults.append(f"{where.rstrip(': ')}: {text}")

    def fields(self, allowed: Sequence[str]) -> Mapping[str, Entry]:
        """Return a table's entries by their keys, those without a value left out; other keys are faults."""
        found = self.table()
        for name, entry in found.items():
            if name not in allowed:
                near = kinds.nearest(name, allowed)
                hint = f"did you mean {near!r}?" if near else f"allowed: {', '.join(allowed)}"
                entry.inside(*self.path).fault(f"unknown key {one_line(name, 80)!r}; {hint}")
        return {name: entry for name, entry in found.items() if name in allowed and entry.node.tag != _NULL}

    def table(self) -> Mapping[str, Entry]:
        """Return a table's entries, whatever their keys."""
        import yaml

        if not isinstance(self.node, yaml.MappingNode):
            self.fault("allowed: a table")
            return {}
        found: dict[str, Entry] = {}
        for key, value in self.node.value:
            entry = replace(self, node=value)
            if not isinstance(key, yaml.ScalarNode) or key.tag == _MERGE:
                entry.fault("allowed: keys that are texts")
            elif key.value in found:
                entry.fault(f"the key {one_line(key.value, 80)!r} stands there twice")
            else:
                found[key.value] = replace(entry, path=(*self.path, key.value))
        return found

    def items(self) -> Sequence[Entry]:
        """Return a list's entries."""
        import yaml

        if not isinstance(self.node, yaml.SequenceNode):
            self.fault("allowed: a list")
            return ()
        return [replace(self, node=node) for node in self.node.value]

    def text(self) -> str:
        """Return a scalar as it is written; nothing is ""."""
        import yaml

        if not isinstance(self.node, yaml.ScalarNode):
            self.fault("allowed: a text")
            return ""
        return "" if self.node.tag == _NULL else str(self.node.value)

    def peek(self, key: str) -> str:
        """Return the text under ``key``, or "" where there is none, or something else."""
        import yaml

        pairs = self.node.value if isinstance(self.node, yaml.MappingNode) else ()
        texts = [
            value.value
            for name, value in pairs
            if isinstance(name, yaml.ScalarNode) and name.value == key and isinstance(value, yaml.ScalarNode)
        ]
        return one_line(texts[0], 80) if texts else ""


def entries_of(fields: Mapping[str, Entry], key: str) -> Sequence[Entry]:
    """Return the entries of the list under ``key``; of nothing there are none."""
    return fields[key].items() if key in fields else ()


def text_of(fields: Mapping[str, Entry], key: str) -> str:
    """Return the text under ``key``; of nothing it is ""."""
    return fields[key].text() if key in fields else ""


def read_document(content: str, file: str, faults: list[str]) -> Entry | None:
    """Return the top of a document, or None when it is empty or is none.

    Args:
        file: how faults call it.
        faults: takes what is wrong.
    """
    import yaml  # part of the extra "sidecar"

    try:
        node = yaml.compose(content, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = "" if error.problem_mark is None else f"{error.problem_mark.line + 1}:"
        faults.append(f"{file}:{line} is not YAML: {one_line(error.problem or str(error), 200)}")
        return None
    except yaml.YAMLError as error:
        faults.append(f"{file}: is not YAML: {one_line(str(error), 200)}")
        return None
    except RecursionError:
        faults.append(f"{file}: lists or tables stand in one another too deeply")
        return None
    return None if node is None or node.tag == _NULL else Entry(node, file, faults)
