"""An engine that runs, seen from anywhere: from its own event loop, from another one, and from a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from pytest_sergas.engine.engine import Engine

T = TypeVar("T")


class Running:
    """The ``engine``, and the loop in which it runs: the one in which this is made."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._loop = asyncio.get_running_loop()

    @property
    def is_here(self) -> bool:
        """Whether the caller is in the engine's loop."""
        try:
            return asyncio.get_running_loop() is self._loop
        except RuntimeError:
            return False

    async def wait(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Await what ``make`` returns, in the engine's loop."""
        if self.is_here:
            return await make()
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(make(), self._loop))

    def wait_in_thread(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Do the same for a thread that is not that of the engine's loop, which must not wait for itself."""
        return asyncio.run_coroutine_threadsafe(make(), self._loop).result()

    def ask(self, question: Callable[[], T]) -> T:
        """Return what ``question`` returns when it is asked in the engine's loop."""
        if self.is_here:
            return question()

        async def answer() -> T:
            return question()

        return self.wait_in_thread(answer)
