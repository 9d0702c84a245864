"""Which type each collected test has, and with it which policy.

The closest type marker decides (function, class, module, package); its keywords and those of the other
markers of the same type merge, closest first. Without a marker the deepest of the directories in `paths`
decides, and the test gets that type's marker, so that ``-m`` selects it too.

Most tests of a class or module share all their marks, so what was worked out once is used again: a test
without marks of its own costs one look at its parent.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pytest_sergas.config import Loaded
from pytest_sergas.core.frozen import dataclass
from pytest_sergas.core.policy import Layer, Policy, Source, read_keywords, resolve
from pytest_sergas.core.records import TestType
from pytest_sergas.plugin.engines import ENGINE_MARKERS, Engines, marker_layer
from pytest_sergas.plugin.markers import is_decorated

Marks = tuple[pytest.Mark, ...]

_INHERITED = pytest.StashKey[Marks]()


@dataclass(frozen=True, slots=True, eq=False)
class Typed:
    """What `Types` found for tests with the same marks: their policy, and the engines' marks among them."""

    policy: Policy
    engine_marks: frozenset[str]


TYPED = pytest.StashKey[Typed]()


class Types:
    """Finds types and policies.

    Attributes:
        faults: what cannot be used of the markers that were met.
        kept: the markers that were met and are the suite's own.
    """

    def __init__(self, loaded: Loaded, engines: Engines) -> None:
        self._engines = engines
        types = {test_type: table for test_type, table in loaded.settings.types.items() if table.enabled}
        self._by_marker = {table.marker: test_type for test_type, table in types.items()}
        self._relevant = frozenset((*self._by_marker, *ENGINE_MARKERS))
        self._tables = types
        # The deepest path first, so that the first one that matches decides.
        self._paths = sorted(
            ((Path(loaded.root, path), test_type) for test_type, table in types.items() for path in table.paths),
            key=lambda entry: len(entry[0].parts),
            reverse=True,
        )
        self._general: Layer = (Source.GENERAL, loaded.settings.general)
        self._cache: dict[tuple[object, ...], Typed | None] = {}
        self._path_cache: dict[Path, TestType | None] = {}
        self._parent: pytest.Collector | None = None
        self._typed_by_parent: Typed | None = None
        self._checked: set[int] = set()
        self._alive: list[pytest.Mark] = []
        self._own: frozenset[str] = frozenset()
        self.kept: set[str] = set()
        self.faults: dict[str, None] = {}

    def keep(self, own: frozenset[str]) -> None:
        """Leave the markers of these names, which are the suite's own, without a meaning."""
        self._own = own

    def of(self, item: pytest.Item) -> Typed | None:
        """Return the type and policy of ``item``, or None for an untyped test."""
        if item.own_markers or self._paths:
            return self._find(item)
        # The tests of a class or module come one after another.
        if item.parent is not self._parent:
            self._parent, self._typed_by_parent = item.parent, self._find(item)
        return self._typed_by_parent

    def _find(self, item: pytest.Item) -> Typed | None:
        own = self._relevant_of(item.own_markers)
        parent = item.parent
        inherited = self._inherited(parent) if parent is not None else ()
        by_path = self._type_of_path(item.path) if self._paths else None
        # Marks without arguments are alike wherever they stand; the others are told apart by identity.
        key = (
            by_path,
            id(inherited),
            *((mark.name if not mark.kwargs and not mark.args else id(mark)) for mark in own),
        )
        try:
            found = self._cache[key]
        except KeyError:
            self._alive.extend(own)  # an id is only unique while the object lives
            found = self._cache[key] = self._work_out((*own, *inherited), by_path, item.nodeid)
        if found is not None and by_path is not None:
            self._mark(item, found, (*own, *inherited))
        return found

    @property
    def need_checks(self) -> bool:
        """Whether a test that was met has dependencies."""
        return any(found is not None and "dependencies" in found.policy.choices for found in self._cache.values())

    def marker_of(self, test_type: str) -> str:
        """Return the name of the marker of ``test_type`` in this suite."""
        return self._tables[TestType(test_type)].marker

    def _inherited(self, node: pytest.Collector | pytest.Item) -> Marks:
        known = node.stash.get(_INHERITED, None)
        if known is None:
            above = self._inherited(node.parent) if node.parent is not None else ()
            own = self._relevant_of(node.own_markers)
            known = node.stash[_INHERITED] = (*own, *above) if own else above
        return known

    def _relevant_of(self, marks: Sequence[pytest.Mark]) -> Marks:
        found = tuple(mark for mark in marks if mark.name in self._relevant)
        if not self._own or not found:
            return found
        suites = [mark for mark in found if mark.name in self._own and not is_decorated(mark)]
        self.kept.update(mark.name for mark in suites)
        return tuple(mark for mark in found if mark not in suites)

    def _work_out(self, marks: Marks, by_path: TestType | None, node_id: str) -> Typed | None:
        deciding = next((self._by_marker[mark.name] for mark in marks if mark.name in self._by_marker), by_path)
        layers: list[Layer] = []
        for mark in marks:
            if mark.name in ENGINE_MARKERS:
                layers.append(marker_layer(mark))
            else:
                values = self._keywords(mark, node_id)
                if self._by_marker[mark.name] is deciding:
                    layers.append((Source.MARKER, values))
        if deciding is None:
            return None
        table: Layer = (Source.TYPE_TABLE, self._tables[deciding].values)
        given = [*layers, self._engines.command_line, table, self._general, self._engines.ini]
        return Typed(resolve(deciding, given), frozenset(mark.name for mark in marks) & ENGINE_MARKERS)

    def _keywords(self, mark: pytest.Mark, node_id: str) -> dict[str, Any]:
        values, faults = read_keywords(mark.name, mark.kwargs)
        if faults and id(mark) not in self._checked:
            self._checked.add(id(mark))
            where = node_id.partition("[")[0]
            self.faults.update(dict.fromkeys(f"{where}: {fault}" for fault in faults))
        return values

    def _type_of_path(self, path: Path) -> TestType | None:
        if path not in self._path_cache:
            matching = (test_type for base, test_type in self._paths if path.is_relative_to(base))
            self._path_cache[path] = next(matching, None)
        return self._path_cache[path]

    def _mark(self, item: pytest.Item, found: Typed, marks: Sequence[pytest.Mark]) -> None:
        if not any(mark.name in self._by_marker for mark in marks):
            item.add_marker(self.marker_of(found.policy.type))


def untyped_fault(node_ids: Sequence[str]) -> str:
    """Return the text for tests that have no type although ``strict`` asks for one."""
    shown = "".join(f"\n    {node_id}" for node_id in node_ids[:10])
    more = f"\n    and {len(node_ids) - 10} more" if len(node_ids) > 10 else ""
    noun = "test has" if len(node_ids) == 1 else "tests have"
    return (
        f"strict: {len(node_ids)} {noun} no type; mark each with one of the type markers "
        f"(pytest --markers), or give its directory a type with paths:{shown}{more}"
    )
