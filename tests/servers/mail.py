"""A mail server: aiosmtpd, in the event loop of the test."""

from __future__ import annotations

import asyncio
import email.policy
import ssl
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.parser import BytesParser
from typing import Any, cast

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

USERNAME = "alerts@shop.example"
PASSWORD = "correct horse"  # noqa: S105  the servers that tests start know it, and no other

TAKEN = "250 2.0.0 OK: queued as 4F2A"


@dataclass
class Mail:
    """A running mail server.

    Attributes:
        port: at 127.0.0.1.
        received: the envelopes that it has taken.
        answers: what it says to a message: the first one to the first message, and so on; the last one stays.
        recipient: what it says to a recipient.
        secured: whether each of them came over TLS.
        hangs_at: the command that it never answers, DATA or QUIT.
        username: who may log in.
    """

    answers: list[str] = field(default_factory=lambda: [TAKEN])
    recipient: Callable[[str], str] = lambda address: "250 OK"  # noqa: ARG005
    port: int = 0
    received: list[Envelope] = field(default_factory=list)
    secured: list[bool] = field(default_factory=list)
    hangs_at: str = ""
    username: str = USERNAME

    @property
    def messages(self) -> list[EmailMessage]:
        """The messages, parsed as a mail program does."""
        parser = BytesParser(policy=email.policy.default)
        return [parser.parsebytes(cast("bytes", one.content)) for one in self.received]

    async def handle_RCPT(  # noqa: N802  aiosmtpd's names
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        del server, session, options
        answer = self.recipient(address)
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        del session
        await self._hang("DATA")
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer.startswith("250"):
            self.received.append(envelope)
            self.secured.append(server.transport is not None and bool(server.transport.get_extra_info("sslcontext")))
        return answer

    async def handle_QUIT(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        del server, session, envelope
        await self._hang("QUIT")
        return "221 Bye"

    async def _hang(self, command: str) -> None:
        if self.hangs_at == command:
            await asyncio.Event().wait()


@asynccontextmanager
async def mail(
    own: Mail | None = None, *, tls: ssl.SSLContext | None = None, implicit: bool = False
) -> AsyncIterator[Mail]:
    """Run a mail server.

    Args:
        tls: for STARTTLS, without which it then takes nothing, and a login; None for neither.
        implicit: whether the connection itself is TLS.
    """
    mail = own or Mail()

    def login(server: SMTP, session: Session, envelope: Envelope, mechanism: str, given: Any) -> AuthResult:
        del server, session, envelope, mechanism
        right = given == LoginPassword(mail.username.encode(), PASSWORD.encode())
        return AuthResult(success=right, handled=False)

    def protocol() -> SMTP:
        with warnings.catch_warnings():  # it does not know that the connection itself is TLS
            warnings.filterwarnings("ignore", "Requiring AUTH while not requiring TLS", UserWarning)
            return SMTP(
                mail,
                hostname="mail.shop.example",
                tls_context=None if implicit else tls,
                require_starttls=tls is not None and not implicit,
                auth_required=tls is not None,
                auth_require_tls=not implicit,
                authenticator=login if tls is not None else None,
                loop=asyncio.get_running_loop(),
            )

    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0, ssl=tls if implicit else None)
    mail.port = server.sockets[0].getsockname()[1]
    try:
        yield mail
    finally:
        server.close()
        await server.wait_closed()
