"""A webhook: Alertmanager's payload to any address, signed where there is a secret.

The signature is that of Standard Webhooks (standardwebhooks.com): ``webhook-id`` is the idempotency key, and
``webhook-signature`` covers it, ``webhook-timestamp`` and the body.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from dataclasses import dataclass, field

from pytest_sergas.channels import Context, payload, posting
from pytest_sergas.channels.options import Options
from pytest_sergas.config.channel_options import CHANNEL_OPTIONS
from pytest_sergas.core.messages import Notification

_ENCODED = "whsec_"

KEYS = CHANNEL_OPTIONS["webhook"]


@dataclass(frozen=True, slots=True)
class WebhookChannel:
    """Sends Alertmanager's payload.

    Attributes:
        signing_key: for the signature; b"" for none.
    """

    name: str
    target: posting.Target
    signing_key: bytes = field(default=b"", repr=False)
    secret: str = field(default="", repr=False)
    resend_s: float | None = None

    @property
    def secrets(self) -> tuple[str, ...]:
        return (*self.target.secrets, *self.target.secrets_of_address, *([self.secret] if self.secret else []))

    async def send(self, notification: Notification, *, timeout_s: float) -> str:
        body = json.dumps(payload.webhook(notification)).encode()
        headers = {"Idempotency-Key": notification.key}
        if self.signing_key:
            headers |= signature(self.signing_key, notification.key, body, wall_s=time.time())
        return await self.target.post(body, headers, timeout_s=timeout_s)


def signature(key: bytes, message_id: str, body: bytes, *, wall_s: float) -> dict[str, str]:
    """Return the headers of Standard Webhooks for ``body``, signed with ``key``."""
    seconds = str(int(wall_s))
    signed = hmac.digest(key, f"{message_id}.{seconds}.".encode() + body, hashlib.sha256)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": seconds,
        "webhook-signature": f"v1,{base64.b64encode(signed).decode()}",
    }


def create(context: Context) -> WebhookChannel:
    options = Options(context, KEYS)
    url = options.address("url")
    secret = options.secret("secret_file")
    key = secret.encode()
    if secret.startswith(_ENCODED):
        try:
            key = base64.b64decode(secret.removeprefix(_ENCODED), validate=True)
        except binascii.Error:
            options.fault("secret_file", f"holds no base64 after {_ENCODED}")
    target = posting.target(options, url)
    options.done()
    return WebhookChannel(context.settings.name, target, key, secret)
