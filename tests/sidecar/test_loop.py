"""A name server that does not answer, for which a function stands that waits: nothing else waits for it."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from pytest_sergas.sidecar.loop import Loop

pytestmark = pytest.mark.unit

PATIENT_S = 60.0


class NameServer:
    """Answers nothing until it is let go; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.go_on = threading.Event()

    def getaddrinfo(self, host: str, port: int, *rest: object) -> list[Any]:
        del rest
        self.asked.append(host)
        self.go_on.wait()
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[NameServer]:
    server = NameServer()
    monkeypatch.setattr(socket, "getaddrinfo", server.getaddrinfo)
    yield server
    server.go_on.set()


def run(work: Callable[[asyncio.AbstractEventLoop], Coroutine[Any, Any, Any]]) -> Any:
    async def within() -> Any:
        async with asyncio.timeout(PATIENT_S):
            return await work(asyncio.get_running_loop())

    with asyncio.Runner(loop_factory=lambda: Loop(handshake_s=10)) as runner:
        return runner.run(within())


def test_name_is_looked_up() -> None:
    assert run(lambda loop: loop.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)) == [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 80))
    ]


def test_name_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(socket.gaierror):
        run(lambda loop: loop.getaddrinfo("", 80, flags=socket.AI_NUMERICHOST))


def test_lookups_that_hang_hold_up_neither_the_pool_nor_the_end(silent: NameServer) -> None:
    async def work(loop: asyncio.AbstractEventLoop) -> str:
        lookups = [asyncio.ensure_future(loop.getaddrinfo(f"host-{number}", 80)) for number in range(50)]
        await asyncio.sleep(0)
        done = await asyncio.to_thread(lambda: "unpacked")
        for lookup in lookups:
            lookup.cancel()
        return done

    assert run(work) == "unpacked"  # and the loop has ended
    assert not silent.go_on.is_set()


def test_name_that_is_being_looked_up_costs_one_thread(silent: NameServer) -> None:
    async def work(loop: asyncio.AbstractEventLoop) -> list[Any]:
        given_up = asyncio.ensure_future(loop.getaddrinfo("shop", 80))
        await asyncio.sleep(0)
        given_up.cancel()
        lookups = [asyncio.ensure_future(loop.getaddrinfo("shop", 80)) for _ in range(3)]
        await asyncio.sleep(0)
        silent.go_on.set()
        return list(await asyncio.gather(*lookups))

    assert [found[0][4] for found in run(work)] == [("127.0.0.1", 80)] * 3
    assert silent.asked == ["shop"]


def test_name_is_looked_up_again_when_it_has_been_answered(silent: NameServer) -> None:
    silent.go_on.set()

    async def work(loop: asyncio.AbstractEventLoop) -> None:
        for _ in range(2):
            await loop.getaddrinfo("shop", 80)

    run(work)
    assert silent.asked == ["shop", "shop"]
