"""One attempt to send: its deadline, and what becomes of what a channel raises."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from pytest_sergas.channels.sender import Sender
from pytest_sergas.core.messages import Notification
from pytest_sergas.errors import DeliveryError, FinalError, TemporaryError
from tests.channels.conftest import PATIENT_S, notification

pytestmark = pytest.mark.unit

SECRETS = ("hunter2", "hunter2-and-more")


@dataclass
class Own:
    """A channel of a stranger's."""

    does: Callable[[], Awaitable[Any]]
    name: str = "own"
    secrets: tuple[str, ...] = SECRETS
    resend_s: float | None = None

    async def send(self, notification: Notification, *, timeout_s: float) -> Any:
        assert (notification.receiver, timeout_s > 0) == ("team", True)
        return await self.does()


def raising(error: BaseException) -> Own:
    async def fail() -> None:
        raise error

    return Own(fail)


def returning(answer: object) -> Own:
    async def give() -> object:
        return answer

    return Own(give)


async def outcome(channel: Own, timeout_s: float = PATIENT_S) -> str | DeliveryError:
    try:
        return await Sender(channel).send(notification(), timeout_s=timeout_s)
    except DeliveryError as error:
        return error


async def test_what_the_receiver_said_comes_back_on_one_line_without_secrets() -> None:
    said = await outcome(returning("queued\r\nas hunter2-and-more \x1b[31mred" + "x" * 300))

    assert isinstance(said, str)
    assert said.startswith("queued as *** redxxx")
    assert len(said) == 300


async def test_answer_that_is_no_text_is_none() -> None:
    assert await outcome(returning(None)) == ""


async def test_channel_that_hangs_costs_its_time_and_no_more() -> None:
    error = await outcome(Own(asyncio.Event().wait), timeout_s=0.1)

    assert isinstance(error, TemporaryError)
    assert str(error).startswith("no answer within 0.")
    assert error.retry_after_s is None


async def test_temporary_fault_stays_one_and_keeps_the_time_that_the_receiver_asked_for() -> None:
    error = await outcome(raising(TemporaryError("too many requests for hunter2", 30.0)))

    assert isinstance(error, TemporaryError)
    assert str(error) == "too many requests for ***"
    assert error.retry_after_s == 30.0


async def test_final_fault_stays_final() -> None:
    error = await outcome(raising(FinalError("no such channel: hunter2")))

    assert isinstance(error, FinalError)
    assert str(error) == "no such channel: ***"


@pytest.mark.parametrize(
    ("raised", "text"),
    [
        pytest.param(KeyError("hunter2"), "the channel raised KeyError: '***'", id="with a text"),
        pytest.param(ZeroDivisionError(), "the channel raised ZeroDivisionError", id="without"),
    ],
)
async def test_alert_is_not_lost_because_a_channel_is_broken(raised: Exception, text: str) -> None:
    error = await outcome(raising(raised))

    assert isinstance(error, TemporaryError)
    assert str(error) == text


@pytest.mark.parametrize("raised", [TemporaryError("x"), FinalError("x"), OSError("https://hooks.example/hunter2")])
async def test_error_carries_no_cause_with_a_secret_in_it(raised: Exception) -> None:
    error = await outcome(raising(raised))

    assert isinstance(error, DeliveryError)
    assert error.__cause__ is None
    assert error.__suppress_context__


async def test_cancelling_is_not_held_up() -> None:
    started = asyncio.Event()

    async def hang() -> None:
        started.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(outcome(Own(hang)))
    await started.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
