"""What a coroutine test says that nothing runs.

pytest's own text recommends plugins, of which we install one: what is missing is a marker or a mode. Only
that text is replaced, and only for tests with a type; whoever runs coroutines in another way is not met.
"""

from __future__ import annotations

import inspect
from collections.abc import Generator

import pytest

_ASYNC = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
_PYTESTS_TEXT = "async def functions are not natively supported"
TEXT = (
    'a coroutine test, and nothing runs it: add @pytest.mark.asyncio to it, or set asyncio_mode = "auto" '
    "in the pytest configuration (or install and mark for another async plugin, such as anyio)"
)


def may_not_run(item: pytest.Item) -> bool:
    """Whether ``item`` is a coroutine test that no plugin has made an item of its own of."""
    code = getattr(item.obj, "__code__", None) if type(item) is pytest.Function else None
    return code is not None and bool(code.co_flags & _ASYNC)


class Coroutines:
    """Replaces the text; registered only where it may be needed.

    Args:
        node_ids: the typed tests that `may_not_run`.
    """

    def __init__(self, node_ids: set[str]) -> None:
        self._node_ids = node_ids

    @pytest.hookimpl(wrapper=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> Generator[None, object, object]:
        try:
            return (yield)
        except pytest.fail.Exception as failure:
            if pyfuncitem.nodeid in self._node_ids and str(failure.msg).startswith(_PYTESTS_TEXT):
                raise pytest.fail.Exception(TEXT, pytrace=False) from None
            raise
