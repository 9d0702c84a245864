"""E-mail: one message to all recipients, as text and as HTML.

A message that is sent again has the same Message-ID, and all messages about one group of alerts refer to the same
one, so that a mail program shows a thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from pytest_sergas.channels import Context, wording
from pytest_sergas.channels.options import Options
from pytest_sergas.config.channel_options import CHANNEL_OPTIONS
from pytest_sergas.core.messages import Notification
from pytest_sergas.core.text import one_line
from pytest_sergas.errors import FinalError, TemporaryError

if TYPE_CHECKING:
    import aiosmtplib
    import jinja2

_PORTS = MappingProxyType({"starttls": 587, "tls": 465, "none": 25})
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_SAID = 200
_QUIT_S = 1.0

KEYS = CHANNEL_OPTIONS["email"]


@dataclass(frozen=True, slots=True)
class EmailChannel:
    """Sends by SMTP.

    Attributes:
        tls: ``starttls``, ``tls`` or ``none``.
        context: for TLS.
    """

    name: str
    host: str
    port: int
    sender: str
    recipients: tuple[str, ...]
    tls: str = "starttls"
    context: ssl.SSLContext | None = field(default=None, repr=False)
    username: str = ""
    password: str = field(default="", repr=False)
    resend_s: float | None = None

    @property
    def secrets(self) -> tuple[str, ...]:
        return (self.password,) if self.password else ()

    async def send(self, notification: Notification, *, timeout_s: float) -> str:
        import aiosmtplib

        deadline_s = asyncio.get_running_loop().time() + timeout_s
        wrote = message(notification, self.sender, self.recipients, now=datetime.now(UTC))
        server = self._server(timeout_s)
        try:
            await server.connect()
            refused, said = await server.send_message(wrote, sender=self.sender, recipients=list(self.recipients))
        except aiosmtplib.SMTPRecipientsRefused as error:
            raise _refused_by_all(self._place, error) from None
        except aiosmtplib.SMTPResponseException as error:
            raise _refused(self._place, error.code, error.message) from None
        except (aiosmtplib.SMTPException, OSError) as error:  # among them a timeout, and a server without STARTTLS
            raise TemporaryError(f"{self._place}: {one_line(str(error), _SAID) or type(error).__name__}") from None
        else:
            await _quit(server, deadline_s)
        finally:
            server.close()
        others = "".join(f"; refused for {who}: {code} {text}" for who, (code, text) in refused.items())
        return one_line(f"{said}{others}", _SAID)

    @property
    def _place(self) -> str:
        return f"{self.host}:{self.port}"

    def _server(self, timeout_s: float) -> aiosmtplib.SMTP:
        import aiosmtplib

        return aiosmtplib.SMTP(
            hostname=self.host,
            port=self.port,
            username=self.username or None,
            password=self.password or None,
            local_hostname=_own_name(),
            timeout=timeout_s,
            use_tls=self.tls == "tls",
            start_tls=self.tls == "starttls",
            tls_context=self.context,
        )


def message(notification: Notification, sender: str, recipients: tuple[str, ...], *, now: datetime) -> EmailMessage:
    """Return the message; what has a line of its own in it has only one."""
    wrote = EmailMessage()
    wrote["From"] = sender
    wrote["To"] = ", ".join(recipients)
    wrote["Subject"] = wording.headline(notification)
    wrote["Date"] = format_datetime(now)
    domain = sender.partition("@")[2]
    wrote["Message-ID"] = _id(notification.key, domain)
    wrote["In-Reply-To"] = wrote["References"] = _id(notification.group_key, domain)
    wrote["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's absence answers it
    wrote.set_content(_readable(wording.plain(notification)))
    wrote.add_alternative(_readable(_html(notification)), subtype="html")
    return wrote


def _html(notification: Notification) -> str:
    stories = zip(notification.alerts, wording.stories(notification), strict=False)
    told = [{"story": story, "firing": alert.status == "firing", "level": alert.level} for alert, story in stories]
    return _template().render(
        headline=wording.headline(notification),
        remarks=wording.remarks(notification),
        told=told,
        external_url=wording.footer(notification),
    )


@cache
def _template() -> jinja2.Template:
    import jinja2

    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.tests["link"] = wording.is_link
    return environment.from_string(Path(__file__).with_name("email.html").read_text("utf-8"))


def _readable(text: str) -> str:
    """Return ``text`` without lone surrogates, which no mail can carry."""
    return text.encode("utf-8", "replace").decode()


def _id(key: str, domain: str) -> str:
    return f"<sergas.{hashlib.sha256(key.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}@{domain}>"


def _own_name() -> str:
    """Return what EHLO says: no name server is asked, as `socket.getfqdn` would."""
    name = socket.gethostname()
    return name if "." in name else "[127.0.0.1]"


async def _quit(server: aiosmtplib.SMTP, deadline_s: float) -> None:
    """Take leave, if there is time for it: the message has been taken, and must not be sent again because of this."""
    import aiosmtplib

    left_s = deadline_s - asyncio.get_running_loop().time() - _QUIT_S
    if left_s > 0:
        with contextlib.suppress(aiosmtplib.SMTPException, OSError):
            await server.quit(timeout=min(left_s, _QUIT_S))


def _refused(place: str, code: int, text: str) -> TemporaryError | FinalError:
    """Return what an answer means: of RFC 5321 4yz may pass, and 5yz does not."""
    said = f"{place}: answered {code} {one_line(text, _SAID)}"
    return FinalError(said) if 500 <= code <= 599 else TemporaryError(said)


def _refused_by_all(place: str, error: aiosmtplib.SMTPRecipientsRefused) -> TemporaryError | FinalError:
    """Return the refusal of the first recipient for whom it may pass, or of the first of all."""
    first = min(error.recipients, key=lambda one: one.code >= 500)
    return _refused(place, first.code, f"{first.recipient}: {first.message}")


def create(context: Context) -> EmailChannel:
    options = Options(context, KEYS, required=("host", "to"))
    for package in ("aiosmtplib", "jinja2"):
        if find_spec(package) is None:
            options.missing_extra("sidecar", package)
    username, password = str(options.get("username", "")), options.either("password")
    sender = str(options.get("from", username))
    tls = str(options.get("tls", "tls" if options.get("port", 0) == _PORTS["tls"] else "starttls"))
    for fault in _faults(context.settings.options, username, sender, tls):
        options.fault(*fault)
    trusted: ssl.SSLContext | None = None
    if tls != "none":
        try:
            trusted = ssl.create_default_context(cafile=options.path("ca_file"))
        except OSError:  # of which ssl.SSLError is one
            options.fault("ca_file", "is no file with certificates in PEM form that can be read")
    options.done()
    values = options.values
    port = values.get("port", _PORTS[tls])
    return EmailChannel(
        context.settings.name, values["host"], port, sender, values["to"], tls, trusted, username, password
    )


def _faults(written: Mapping[str, object], username: str, sender: str, tls: str) -> Iterator[tuple[str, str]]:
    """Yield key and text of what does not fit together."""
    passwords = [key for key in ("password", "password_file") if key in written]
    if username and not passwords:
        yield "username", "password_file is missing"
    if passwords and "username" not in written:
        yield passwords[-1], "username is missing"
    if "from" not in written and "@" not in sender:
        yield "from", "is missing, and username is no address"
    if tls == "none" and username and written.get("host") not in _LOOPBACK:
        yield "tls", "the password would be sent as it is; allowed with a username: 'starttls', 'tls'"
