"""A message that says that nothing is wrong, to see whether it arrives."""

from __future__ import annotations

from pytest_sergas.core.messages import ALERTNAME, SEVERITY, Notification, Notified, fingerprint

NAME = "SergasTrial"


def trial(receiver: str, *, key: str, wall_s: float) -> Notification:
    """Return what is sent to try the channel ``receiver``.

    Args:
        key: the idempotency key, a new one for each trial.
        wall_s: seconds since the Unix epoch.
    """
    labels = ((ALERTNAME, NAME), ("receiver", receiver), (SEVERITY, "info"))
    annotations = (("summary", "A trial of this channel: nothing is wrong, and there is nothing to do."),)
    alert = Notified(labels, annotations, "firing", wall_s, None, "", 1.0, fingerprint(labels), "info")
    return Notification((alert,), labels[:1], receiver, "firing", key, f'{{}}:{{alertname="{NAME}"}}')
