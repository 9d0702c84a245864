"""The webhook: the payload, its signature as a receiver verifies it, and the key that stays the same."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from pytest_sergas.channels import payload
from pytest_sergas.channels.posting import USER_AGENT
from pytest_sergas.errors import ConfigurationError
from tests.channels.conftest import KEY, alert, make, notification, send
from tests.servers.gateways import Received, answering

pytestmark = pytest.mark.integration

SECRET = b"a secret of thirty-two bytes ..."


async def sent(root: Path, *alerts: Any, **options: str) -> Received:
    with answering() as server:
        await send(make("webhook", root, url=f"{server.url}/alerts", **options), notification(*alerts))
    (received,) = server.received
    return received


async def test_payload_arrives_with_the_idempotency_key(tmp_path: Path) -> None:
    received = await sent(tmp_path)

    assert (received.method, received.path) == ("POST", "/alerts")
    assert json.loads(received.body) == payload.webhook(notification())
    assert received.headers["Content-Type"] == "application/json"
    assert received.headers["User-Agent"] == USER_AGENT
    assert received.headers["Idempotency-Key"] == KEY
    assert "webhook-signature" not in {name.lower() for name in received.headers}


@pytest.mark.parametrize(
    "written",
    [
        pytest.param(SECRET.decode(), id="as it is"),
        pytest.param(f"whsec_{base64.b64encode(SECRET).decode()}\n", id="in base64"),
    ],
)
async def test_signature_is_verified_by_a_receiver(written: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(written, encoding="utf-8")
    received = await sent(tmp_path, secret_file="secret")  # noqa: S106  a file's name

    receiver = Webhook(base64.b64encode(SECRET).decode())
    headers = {name.lower(): value for name, value in received.headers.items()}
    assert receiver.verify(received.body, headers) == json.loads(received.body)
    assert headers["webhook-id"] == KEY
    with pytest.raises(WebhookVerificationError):
        receiver.verify(received.body + b" ", headers)
    with pytest.raises(WebhookVerificationError):
        receiver.verify(received.body, {**headers, "webhook-timestamp": str(int(headers["webhook-timestamp"]) - 1)})


async def test_labels_arrive_as_they_are_whatever_is_in_them(tmp_path: Path) -> None:
    evil = "a\r\nb\x00\x1b[31m <b>&amp;</b> " + "x" * 100_000
    received = await sent(tmp_path, alert(team=evil))

    assert json.loads(received.body)["alerts"][0]["labels"]["team"] == evil


@pytest.mark.parametrize(
    ("options", "faults"),
    [
        pytest.param({}, ('url is missing; such as url = "https://shop.example/alerts"',), id="nothing"),
        pytest.param(
            {"url": "ftp://shop"},
            ("url = '***': allowed: a URL that begins with http:// or https://",),
            id="no web address",
        ),
        pytest.param(
            {"url": "http://shop", "url_file": "url"},
            ("url = '***': there is url_file as well; remove one of the two",),
            id="two addresses",
        ),
        pytest.param(
            {"url_file": "ftp"},
            ("url_file = 'ftp': what it holds is no address; allowed: a URL that begins with http:// or https://",),
            id="file without a web address",
        ),
        pytest.param(
            {"url_file": "nowhere"}, ("url_file = 'nowhere': cannot be read: No such file or directory",), id="no file"
        ),
        pytest.param(
            {"url": "https://shop", "secret_file": "odd", "username": "u", "token_file": "url", "ca_file": "url"},
            (
                "secret_file = 'odd': holds no base64 after whsec_",
                "username = 'u': password_file is missing",
                "token_file = 'url': there is a username as well; remove one of the two",
                "ca_file = 'url': is no file with certificates in PEM form that can be read",
            ),
            id="secrets",
        ),
        pytest.param(
            {"url": "http://shop", "password_file": "url", "proxy": "socks://p"},
            (
                "proxy = 'socks://p': allowed: a URL that begins with http:// or https://",
                "password_file = 'url': username is missing",
            ),
            id="rest",
        ),
    ],
)
def test_options_that_cannot_be_used(options: dict[str, str], faults: tuple[str, ...], tmp_path: Path) -> None:
    for name, text in {"url": "http://shop", "ftp": "ftp://hunter2", "odd": "whsec_!"}.items():
        (tmp_path / name).write_text(text, encoding="utf-8")

    with pytest.raises(ConfigurationError) as raised:
        make("webhook", tmp_path, **options)

    assert raised.value.faults == tuple(f"channels.team: {fault}" for fault in faults)
