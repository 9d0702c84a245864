"""The engine: the parts that run on their own, started in order and stopped in the reverse."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from pytest_sergas.config.serve import ServeSettings


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """What the engine does; one field for each section of the configuration.

    Attributes:
        root: the directory that paths are relative to.
    """

    root: Path
    serve: ServeSettings = field(default_factory=ServeSettings)


class Engine:
    """The parts of the sidecar that have no HTTP in them.

    `start` returns when everything is ready; `stop` may be called at any time after it, once, and returns when
    everything that was acknowledged is durable. Both run in the event loop that the parts then use.
    """

    def __init__(self, settings: EngineSettings) -> None:
        self.settings = settings

    async def start(self) -> None:
        """Open the store, then start what writes to it."""

    async def stop(self) -> None:
        """Stop what writes to the store, then close it."""
