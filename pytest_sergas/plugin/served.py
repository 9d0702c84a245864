"""Durations that a sidecar serves: the medians of its newest runs, asked for once, when a plan is made.

They are of use and never needed. So a sidecar that does not answer is one line in the summary, and it has the
publishers' deadline, which holds for the whole answer.
"""

from __future__ import annotations

import os
import threading
from urllib.parse import quote

from pytest_sergas.config import Loaded
from pytest_sergas.core.durations import DurationsError, from_served
from pytest_sergas.errors import ConfigurationError, PublishError
from pytest_sergas.publishers import Context
from pytest_sergas.publishers.endpoint import endpoint

PATH = "/api/durations"

_LIMIT_BYTES = 64 * 1024 * 1024


class ServedDurations:
    """Asks a sidecar.

    Raises:
        ConfigurationError: the credentials cannot be used.
    """

    def __init__(self, loaded: Loaded) -> None:
        faults: list[str] = []
        settings = loaded.settings
        context = Context(settings, os.environ, loaded.root, loaded.root, sources=loaded.sources)
        self._endpoint = endpoint("durations", settings.durations, context, faults)
        if faults:
            raise ConfigurationError(tuple(faults))
        self._project = settings.project
        self._deadline_s = settings.publish_deadline

    def fetch(self) -> tuple[dict[str, float], str]:
        """Return node id → seconds, and what there is to say when there are none."""
        answer: list[tuple[dict[str, float], str]] = []
        thread = threading.Thread(target=lambda: answer.append(self._ask()), daemon=True, name="sergas durations")
        thread.start()
        thread.join(self._deadline_s)
        found, reason = answer[0] if answer else ({}, f"no answer within {self._deadline_s:g} s")
        return found, f"durations: {self._endpoint.url}: {reason}; planned without them" if reason else ""

    def _ask(self) -> tuple[dict[str, float], str]:
        try:
            path = f"{PATH}?project={quote(self._project, safe='')}"
            return from_served(self._endpoint.fetch(path, self._deadline_s, _LIMIT_BYTES)), ""
        except (PublishError, DurationsError) as error:
            return {}, str(error)
