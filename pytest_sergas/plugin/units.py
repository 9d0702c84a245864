"""What ties a collected test to others: the fixtures that they share, and ``xdist_group``.

Shared are fixtures of class, module and package scope, xunit's set-up functions included, because pytest makes
such fixtures of them, and those in a package's ``__init__.py``, of which it makes none. For every
``unittest.TestCase`` it makes one round ``setUpClass`` and ``tearDownClass``, which ties only where the class has one
of its own. Session-scoped fixtures do not tie: each worker has its own. Fixtures that a test asks for while it runs
(``request.getfixturevalue``) are not known beforehand.
"""

from __future__ import annotations

import inspect
import re
import unittest
from typing import Any

import pytest

from pytest_sergas.core.plan import Tie
from pytest_sergas.plugin.foreign import Fixtures

_TYING = frozenset({"class", "module", "package"})
# As words in the file, because it may not have been imported; one that only mentions them ties for nothing.
_SET_UPS = re.compile(rb"\b(?:setup_module|setUpModule|teardown_module|tearDownModule)\b")


class Ties:
    """Finds ties; what was found out about a fixture is used again."""

    def __init__(self) -> None:
        self._fixtures = Fixtures()
        self._tying: dict[int, bool] = {}
        self._made: dict[str, Tie] = {}
        self._packages: dict[str, bool] = {}

    def of(self, item: pytest.Item) -> tuple[Tie, ...]:
        """Return what ties ``item`` to others."""
        found: dict[Tie, None] = {}
        group = _group(item)
        if group:
            name = f"group {group}"
            found[self._made.setdefault(name, Tie(name, firm=True))] = None
        for definition in self._fixtures.of(item):
            if self._ties(definition, item):
                tie = self._shared(definition, item)
                if tie is not None:
                    found[tie] = None
        for node in item.iter_parents():
            if isinstance(node, pytest.Package) and self._sets_up(node):
                name = f"package {node.nodeid} __init__.py"
                found[self._made.setdefault(name, Tie(name, fixture=name, held=True))] = None
        return tuple(found)

    def _sets_up(self, package: pytest.Package) -> bool:
        """Whether pytest calls something in ``__init__.py`` before the first test of a package, or after the last."""
        known = self._packages.get(package.nodeid)
        if known is None:
            source = (package.path / "__init__.py").read_bytes()
            known = self._packages[package.nodeid] = _SET_UPS.search(source) is not None
        return known

    def _ties(self, definition: Any, item: pytest.Item) -> bool:
        known = self._tying.get(id(definition))
        if known is None:
            known = self._tying[id(definition)] = (
                definition.scope in _TYING
                and not self._fixtures.is_parameter(definition)
                and not _is_empty_class(definition, item)
            )
        return known

    def _shared(self, definition: Any, item: pytest.Item) -> Tie | None:
        scope: str = definition.scope
        node = _scope_node(definition, item)
        if node is None:
            return None
        fixture = f"{definition.baseid}::{definition.argname}"
        name = f"{scope} {node.nodeid} {fixture}"
        tie = self._made.get(name)
        if tie is None:
            tie = self._made[name] = Tie(name, fixture=fixture, held=_is_torn_down(definition))
        return tie


def _group(item: pytest.Item) -> str:
    """Return the groups of ``item`` as pytest-xdist joins them."""
    names = {
        str(mark.args[0] if mark.args else mark.kwargs.get("name", "default"))
        for mark in item.iter_markers("xdist_group")
    }
    return "_".join(sorted(names))


def _scope_node(definition: Any, item: pytest.Item) -> pytest.Collector | None:
    """Return what a fixture is set up for; None where it ties nothing: a function alone, or the whole session."""
    if definition.scope == "class":
        return item.getparent(pytest.Class)
    if definition.scope == "module":
        return item.getparent(pytest.Module)
    for node in item.iter_parents():
        if isinstance(node, pytest.Package) and node.nodeid == definition.baseid:
            return node
    return None


def _is_torn_down(definition: Any) -> bool:
    """Whether something may happen after the last test: a generator, or a finalizer that is added to the request."""
    function = inspect.unwrap(definition.func)
    generates = inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)
    return generates or "request" in inspect.signature(function).parameters


def _is_empty_class(definition: Any, item: pytest.Item) -> bool:
    """Whether it calls setUpClass and tearDownClass of a TestCase that has neither."""
    if not definition.argname.startswith("_unittest_setUpClass_fixture_"):
        return False
    owner = item.getparent(pytest.Class)
    case = owner.obj if owner is not None else unittest.TestCase
    return all(
        getattr(getattr(case, name), "__func__", None) is getattr(unittest.TestCase, name).__func__
        for name in ("setUpClass", "tearDownClass")
    )
