"""E-mail, to a real mail server: with STARTTLS and a login, and what becomes of its answers."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_sergas.channels import email
from pytest_sergas.errors import ConfigurationError, DeliveryError, FinalError, TemporaryError
from tests.channels.conftest import IMPATIENT_S, KEY, PATIENT_S, alert, make, notification, send
from tests.servers import gateways
from tests.servers.mail import PASSWORD, USERNAME, Mail, mail

pytestmark = pytest.mark.integration

FROM, TO = "alerts@shop.example", ("team@shop.example", "night@shop.example")
NOW = datetime(2026, 5, 28, 20, 30, tzinfo=UTC)


@dataclass(frozen=True)
class Trust:
    server: ssl.SSLContext
    ca_file: Path


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory) -> Trust:
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    ca_file = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    return Trust(context, ca_file)


@pytest_asyncio.fixture
async def plain() -> AsyncIterator[Mail]:
    """A server that wants neither TLS nor a login."""
    async with mail() as server:
        yield server


def options(port: int, **more: Any) -> dict[str, Any]:
    return {"host": "127.0.0.1", "port": port, "tls": "none", "from": FROM, "to": list(TO), **more}


async def outcome(root: Path, port: int, timeout_s: float = PATIENT_S, /, **more: Any) -> str | DeliveryError:
    try:
        return await send(make("email", root, **options(port, **more)), notification(), timeout_s)
    except DeliveryError as error:
        return error


async def test_message_arrives_with_starttls_and_login(tmp_path: Path, trust: Trust) -> None:
    (tmp_path / "password").write_text(f"{PASSWORD}\n", encoding="utf-8")
    login: dict[str, Any] = {
        "tls": "starttls",
        "username": USERNAME,
        "password_file": "password",
        "ca_file": str(trust.ca_file),
    }
    async with mail(tls=trust.server) as server:
        said = await outcome(tmp_path, server.port, **login)

    assert said == "2.0.0 OK: queued as 4F2A"
    assert server.secured == [True]
    assert server.received[0].mail_from == FROM
    assert tuple(server.received[0].rcpt_tos) == TO


async def test_message_arrives_over_tls_from_the_start(tmp_path: Path, trust: Trust) -> None:
    login: dict[str, Any] = {"tls": "tls", "username": USERNAME, "password": PASSWORD, "ca_file": str(trust.ca_file)}
    async with mail(tls=trust.server, implicit=True) as server:
        said = await outcome(tmp_path, server.port, **login)

    assert said == "2.0.0 OK: queued as 4F2A"
    assert server.secured == [True]


async def test_wrong_password_is_final_and_not_told(tmp_path: Path, trust: Trust) -> None:
    login: dict[str, Any] = {
        "tls": "starttls",
        "username": USERNAME,
        "password": "hunter2",
        "ca_file": str(trust.ca_file),
    }
    async with mail(tls=trust.server) as server:
        error = await outcome(tmp_path, server.port, **login)

    assert isinstance(error, FinalError)
    assert str(error) == f"127.0.0.1:{server.port}: answered 535 5.7.8 Authentication credentials invalid"


async def test_server_whose_certificate_nobody_vouches_for_gets_nothing(tmp_path: Path, trust: Trust) -> None:
    login: dict[str, Any] = {"tls": "starttls", "username": USERNAME, "password": PASSWORD}
    async with mail(tls=trust.server) as server:
        error = await outcome(tmp_path, server.port, **login)

    assert isinstance(error, TemporaryError)
    assert "certificate verify failed" in str(error)
    assert server.received == []


async def test_server_without_starttls_gets_neither_password_nor_message(tmp_path: Path, plain: Mail) -> None:
    error = await outcome(tmp_path, plain.port, tls="starttls", username=USERNAME, password=PASSWORD)

    assert isinstance(error, TemporaryError)
    assert str(error) == f"127.0.0.1:{plain.port}: SMTP STARTTLS extension not supported by server."
    assert plain.received == []


async def test_4xx_is_temporary(tmp_path: Path, plain: Mail) -> None:
    plain.answers = ["451 4.3.0 Try again later"]
    error = await outcome(tmp_path, plain.port)

    assert isinstance(error, TemporaryError)
    assert str(error) == f"127.0.0.1:{plain.port}: answered 451 4.3.0 Try again later"


async def test_5xx_is_final(tmp_path: Path, plain: Mail) -> None:
    plain.answers = ["554 5.7.1 Looks like spam"]
    error = await outcome(tmp_path, plain.port)

    assert isinstance(error, FinalError)
    assert str(error) == f"127.0.0.1:{plain.port}: answered 554 5.7.1 Looks like spam"


async def test_recipient_who_is_refused_does_not_keep_it_from_the_others(tmp_path: Path, plain: Mail) -> None:
    plain.recipient = lambda address: "550 5.1.1 No such user" if address == TO[0] else "250 OK"
    said = await outcome(tmp_path, plain.port)

    assert said == "2.0.0 OK: queued as 4F2A; refused for team@shop.example: 550 5.1.1 No such user"
    assert plain.received[0].rcpt_tos == [TO[1]]


@pytest.mark.parametrize(
    ("answers", "kind", "text"),
    [
        pytest.param(
            ("550 No such user", "550 No"), FinalError, "answered 550 team@shop.example: No such user", id="all finally"
        ),
        pytest.param(
            ("550 No such user", "450 Greylisted"),
            TemporaryError,
            "answered 450 night@shop.example: Greylisted",
            id="one for now",
        ),
    ],
)
async def test_message_that_nobody_may_receive(
    answers: tuple[str, str], kind: type[DeliveryError], text: str, tmp_path: Path, plain: Mail
) -> None:
    plain.recipient = lambda address: answers[TO.index(address)]
    error = await outcome(tmp_path, plain.port)

    assert isinstance(error, kind)
    assert str(error) == f"127.0.0.1:{plain.port}: {text}"


async def test_server_that_hangs_costs_the_time_and_no_more(tmp_path: Path, plain: Mail) -> None:
    plain.hangs_at = "DATA"
    error = await outcome(tmp_path, plain.port, IMPATIENT_S)

    assert isinstance(error, TemporaryError)
    assert plain.received == []


async def test_message_that_was_taken_is_not_sent_again_because_the_server_does_not_say_goodbye(
    tmp_path: Path, plain: Mail
) -> None:
    plain.hangs_at = "QUIT"

    assert await outcome(tmp_path, plain.port, 5.0) == "2.0.0 OK: queued as 4F2A"


async def test_server_that_is_not_there_is_temporary(tmp_path: Path) -> None:
    with gateways.refusing() as url:
        port = int(url.rpartition(":")[2])
        error = await outcome(tmp_path, port)

    assert isinstance(error, TemporaryError)
    assert str(error).startswith(f"127.0.0.1:{port}: Error connecting to 127.0.0.1 on port {port}: ")


async def test_server_that_hangs_up_is_temporary(tmp_path: Path) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del reader
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server:
        error = await outcome(tmp_path, server.sockets[0].getsockname()[1])

    assert isinstance(error, TemporaryError)


async def test_second_attempt_is_the_same_message_to_a_mail_program(tmp_path: Path, plain: Mail) -> None:
    for _ in range(2):
        await outcome(tmp_path, plain.port)

    first, second = plain.messages
    assert first["Message-ID"] == second["Message-ID"]


async def test_message_reads_well_as_text_and_as_html(tmp_path: Path, plain: Mail) -> None:
    told = notification(
        alert(
            type="smoke",
            annotations={
                "summary": "2 smoke tests failed",
                "description": "test_login & test_pay",
                "runbook_url": "https://wiki.example/smoke?a=1&b=2",
                "action": "roll back",
            },
        ),
        external_url="https://ci.example/sergas",
    )
    await send(make("email", tmp_path, **options(plain.port)), told)

    (received,) = plain.messages
    assert received["From"] == FROM
    assert received["To"] == ", ".join(TO)
    assert received["Subject"] == "[FIRING:1] SmokeTestsFailed: type=smoke"
    assert received["Auto-Submitted"] == "auto-generated"
    text, html = (part.get_content() for part in received.iter_parts())
    assert text.splitlines() == [
        "",
        "critical: SmokeTestsFailed, firing since 2026-05-28 20:26:40 UTC",
        "2 smoke tests failed",
        "test_login & test_pay",
        "  type = smoke",
        "  value: 2",
        "  action: roll back",
        "  runbook_url: https://wiki.example/smoke?a=1&b=2",
        "",
        "https://ci.example/sergas",
    ]
    assert '<a href="https://wiki.example/smoke?a=1&amp;b=2">' in html
    assert "test_login &amp; test_pay" in html
    assert "<td>roll back</td>" in html


# Messages, without a server


def written(*alerts: Any, **fields: Any) -> Any:
    wrote = email.message(notification(*alerts, **fields), FROM, TO, now=NOW)
    return message_from_bytes(wrote.as_bytes(), policy=policy.default)


def test_messages_about_one_group_are_a_thread() -> None:
    firing, resolved = written(), written(alert(status="resolved", type="smoke"), key=f"{KEY}-2")

    assert firing["References"] == resolved["References"] == firing["In-Reply-To"]
    assert firing["Message-ID"] != resolved["Message-ID"]


@settings(deadline=None)  # the first one loads the template
@given(st.text(max_size=200), st.text(max_size=50))
def test_label_adds_no_header(name: str, value: str) -> None:
    evil = f"{name}\r\nBcc: everybody@shop.example\r\n\r\n{value}"
    told = written(alert(evil, team=evil, level=evil), group_labels=(("type", evil),), key=evil, group_key=evil)

    assert set(told.keys()) == {
        *("From", "To", "Subject", "Date", "Message-ID", "In-Reply-To", "References", "Auto-Submitted"),
        *("MIME-Version", "Content-Type"),
    }
    assert [address.addr_spec for address in told["To"].addresses] == list(TO)


def test_markup_in_a_label_is_text() -> None:
    _, html = written(
        alert(team='<script>alert("1")</script>', annotations={"link": "javascript:alert(1)"})
    ).iter_parts()

    assert "<script>" not in html.get_content()
    assert "&lt;script&gt;" in html.get_content()
    assert "href" not in html.get_content()


def test_label_of_100_kb_costs_a_line() -> None:
    long = "x" * 100_000
    told = written(alert(team=long, annotations={"summary": long, "description": long, "action": long}))

    assert len(told.as_bytes()) < 20_000


@pytest.mark.parametrize(
    ("given_options", "faults"),
    [
        pytest.param(
            {},
            (
                'host is missing; such as host = "mail.shop.example"',
                'to is missing; such as to = ["team@shop.example"]',
                "from = None: is missing, and username is no address",
            ),
            id="nothing",
        ),
        pytest.param(
            {"host": "mail", "to": "a\r\nBcc: b", "from": "x", "port": 0, "tls": "ssl"},
            (
                ("to = 'a\\r\\nBcc: b': in the list allowed: text on one line, not empty, of at most 4096 characters"),
                "from = 'x': allowed: an address such as alerts@shop.example",
                "port = 0: allowed: a port, a whole number from 1 to 65535",
                "tls = 'ssl': allowed: 'starttls', 'tls', 'none'",
            ),
            id="wrong",
        ),
        pytest.param(
            {"host": "mail", "to": "a@b", "username": "a@b"},
            ("username = '***@b': password_file is missing",),
            id="no password",
        ),
        pytest.param(
            {"host": "mail", "to": "a@b", "from": "a@b", "password": "hunter2"},
            ("password = '***': username is missing",),
            id="no username",
        ),
        pytest.param(
            {"host": "mail", "to": "a@b", "username": "a@b", "password": "hunter2", "tls": "none"},
            ("tls = 'none': the password would be sent as it is; allowed with a username: 'starttls', 'tls'",),
            id="password without TLS",
        ),
        pytest.param(
            {"host": "mail", "to": [], "from": "a@b", "ca_file": "nowhere"},
            (
                "to = []: allowed: an address, or a list of them",
                "ca_file = 'nowhere': is no file with certificates in PEM form that can be read",
            ),
            id="nobody",
        ),
    ],
)
def test_options_that_cannot_be_used(given_options: dict[str, Any], faults: tuple[str, ...], tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as raised:
        make("email", tmp_path, **given_options)

    assert raised.value.faults == tuple(f"channels.team: {fault}" for fault in faults)


@pytest.mark.parametrize(
    ("given_options", "port", "tls"),
    [
        pytest.param({}, 587, "starttls", id="nothing said"),
        pytest.param({"port": 465}, 465, "tls", id="port of TLS"),
        pytest.param({"tls": "tls"}, 465, "tls", id="TLS"),
        pytest.param({"tls": "none"}, 25, "none", id="neither"),
    ],
)
def test_port_and_tls_follow_from_each_other(
    given_options: dict[str, Any], port: int, tls: str, tmp_path: Path
) -> None:
    channel = make("email", tmp_path, **{"host": "mail", "from": FROM, "to": list(TO), **given_options})

    assert isinstance(channel, email.EmailChannel)
    assert (channel.port, channel.tls) == (port, tls)
