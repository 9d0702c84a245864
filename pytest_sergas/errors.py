"""The exceptions of pytest-sergas.

    SergasError
    ├── ConfigurationError   something the user wrote cannot be used; lists every fault at once
    ├── PublishError         a run could not be handed to one destination; the run itself goes on
    ├── StoreError           the sidecar's store cannot be opened, read or written
    ├── MetricError          a metric cannot be exposed as it is
    ├── AlertRuleError       an alert rule of a program cannot be used
    ├── CollectError         a collector could not measure; what it measures is missing, and nothing else
    └── DeliveryError        a channel could not hand over a notification
        ├── TemporaryError   and it is to be tried again
        └── FinalError       and to try the same again is of no use

Each text names what was wrong, the value given, what is allowed and the next step, and never a secret.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class SergasError(Exception):
    """The base of every exception that pytest-sergas raises on purpose."""


class ConfigurationError(SergasError):
    """The configuration, an option or a marker cannot be used.

    Args:
        faults: one line of text for each fault, complete in itself.
    """

    def __init__(self, faults: tuple[str, ...]) -> None:
        self.faults = faults
        noun = "fault" if len(faults) == 1 else "faults"
        super().__init__("\n  ".join((f"sergas: {len(faults)} {noun} in the configuration", *faults)))


@contextmanager
def gathered(faults: list[str]) -> Iterator[None]:
    """Add the faults of a `ConfigurationError` raised in here to ``faults``, and go on: somebody wants to see all."""
    try:
        yield
    except ConfigurationError as error:
        faults += error.faults


class PublishError(SergasError):
    """A publisher could not deliver; the text is short enough for one line and carries no secret."""


class StoreError(SergasError):
    """The store cannot be opened, read or written; what was to be written is not there."""


class MetricError(SergasError, ValueError):
    """A metric or a family cannot be exposed; the text is what whoever wrote it should read."""


class AlertRuleError(SergasError, ValueError):
    """An alert rule of a program cannot be used; the text is what whoever wrote it should read."""


class CollectError(SergasError):
    """Nothing could be measured; the text is short enough for one line, and carries no secret."""


class DeliveryError(SergasError):
    """A channel could not hand over a notification; the text is short enough for one line and carries no secret."""


class TemporaryError(DeliveryError):
    """The receiver did not take it this time.

    Args:
        text: why.
        retry_after_s: seconds that the receiver wants to be left alone, or None when it did not say.
    """

    def __init__(self, text: str, retry_after_s: float | None = None) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(text)


class FinalError(DeliveryError):
    """The receiver will not take this notification, however often it is sent."""
