"""Who is let in: users, tokens, certificates, and what guessing costs."""

from __future__ import annotations

import asyncio
import base64
import signal
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import bcrypt
import pytest
import trustme

from pytest_sergas.sidecar import auth
from pytest_sergas.sidecar.auth import CACHE_SIZE, QUEUE_SIZE, Authentication, Verdict
from tests.servers.sidecar import Sidecar, sidecar
from tests.sidecar.conftest import ask

pytestmark = pytest.mark.integration

PASSWORD = "correct horse"  # noqa: S105  the sidecars that tests start know it, and no other
HASH = "$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e"  # of PASSWORD, at the lowest cost
TOKEN = "s3cr3t-token"  # noqa: S105  likewise
WEB = f"basic_auth_users:\n  ci: {HASH}\n"
NOWHERE = "/nowhere"  # who gets as far as a 404 was let in


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def check(authentication: Authentication, value: str) -> Verdict:
    return asyncio.run(authentication.check(value.encode("latin-1")))


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The passwords that bcrypt was asked about."""
    asked: list[bytes] = []
    real = bcrypt.checkpw

    def checkpw(password: bytes, hashed: bytes) -> bool:
        asked.append(password)
        return real(password, hashed)

    monkeypatch.setattr(bcrypt, "checkpw", checkpw)
    return asked


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    directory = tmp_path_factory.mktemp("locked")
    (directory / "web.yml").write_text(WEB, encoding="utf-8")
    (directory / "tokens").write_text(f"other\n{TOKEN}\n", encoding="utf-8")
    config = '[serve]\nweb_config = "web.yml"\ntoken_file = "tokens"\n'
    with sidecar(directory, config=config) as running:
        yield running


@pytest.mark.parametrize(
    "value", [basic("ci", PASSWORD), f"Bearer {TOKEN}", f"bearer  {TOKEN}", "Bearer other"], ids=lambda value: value[:8]
)
def test_right_credentials_are_let_in(value: str, locked: Sidecar) -> None:
    assert ask(locked.url, NOWHERE, headers={"Authorization": value}).status == 404


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("", id="none"),
        pytest.param(basic("ci", "wrong"), id="wrong password"),
        pytest.param(basic("somebody", PASSWORD), id="unknown user"),
        pytest.param(basic("ci", "x" * 73), id="longer than bcrypt reads"),
        pytest.param(basic("ci", PASSWORD + "\0"), id="zero byte"),
        pytest.param("Basic ci:correct horse", id="not base64"),
        pytest.param("Basic /////w==", id="not UTF-8"),
        pytest.param("Basic " + base64.b64encode(b"ci").decode(), id="no colon"),
        pytest.param("Bearer wrong", id="wrong token"),
        pytest.param("Bearer", id="no token"),
        pytest.param("Digest x", id="another scheme"),
    ],
)
def test_wrong_credentials_are_a_401(value: str, locked: Sidecar) -> None:
    reply = ask(locked.url, NOWHERE, headers={"Authorization": value} if value else {})

    assert (reply.status, reply.text) == (401, "Unauthorized\n")
    assert reply.headers["www-authenticate"] == 'Basic realm="sergas", charset="UTF-8"'


def test_two_authorizations_are_a_401(locked: Sidecar) -> None:
    pairs = [("Authorization", f"Bearer {TOKEN}"), ("Authorization", basic("ci", "wrong"))]

    assert ask(locked.url, NOWHERE, headers=pairs).status == 401


@pytest.mark.parametrize("path", ["/-/healthy", "/-/ready"])
def test_probes_stay_open(path: str, locked: Sidecar) -> None:
    assert ask(locked.url, path).status == 200


def test_host_is_not_checked_where_one_has_to_log_in(locked: Sidecar) -> None:
    headers = {"Host": "anything.example", "Authorization": f"Bearer {TOKEN}"}

    assert ask(locked.url, NOWHERE, headers=headers).status == 404


def test_foreign_page_changes_nothing_with_credentials_either(locked: Sidecar) -> None:
    headers = {"Origin": "http://evil.example", "Authorization": f"Bearer {TOKEN}"}

    assert ask(locked.url, NOWHERE, "POST", headers=headers).status == 403


def test_no_secret_is_logged(tmp_path: Path) -> None:
    (tmp_path / "web.yml").write_text(WEB, encoding="utf-8")
    (tmp_path / "tokens").write_text(TOKEN, encoding="utf-8")
    config = '[serve]\nweb_config = "web.yml"\ntoken_file = "tokens"\nlog_level = "debug"\n'
    with sidecar(tmp_path, config=config) as running:
        values = (basic("ci", PASSWORD), basic("ci", "wrong-one"), f"Bearer {TOKEN}", f"Bearer {TOKEN}-")
        for value in values:
            ask(running.url, NOWHERE, headers={"Authorization": value})
            ask(running.url, f"/{TOKEN}-is-in-the-path-and-not-ours-to-hide", headers={"Authorization": value})

        secrets = [PASSWORD, "wrong-one", HASH, *(value.partition(" ")[2] for value in values)]
        assert [secret for secret in secrets if secret in running.printed] == []


def test_without_users_and_tokens_everybody_is_let_in() -> None:
    assert check(Authentication({}), "") is Verdict.WELCOME


def test_tokens_alone_let_no_user_in(counted: list[bytes]) -> None:
    assert check(Authentication({}, (TOKEN,)), basic("ci", PASSWORD)) is Verdict.UNKNOWN
    assert counted == []


def test_verified_password_is_checked_once(counted: list[bytes]) -> None:
    known = Authentication({"ci": HASH})

    assert [check(known, basic("ci", PASSWORD)) for _ in range(3)] == [Verdict.WELCOME] * 3
    assert counted == [PASSWORD.encode()]


def test_wrong_password_is_checked_every_time(counted: list[bytes]) -> None:
    known = Authentication({"ci": HASH})

    assert [check(known, basic("ci", "wrong")) for _ in range(3)] == [Verdict.UNKNOWN] * 3
    assert len(counted) == 3


def test_unknown_user_costs_a_check_as_well(counted: list[bytes]) -> None:
    assert check(Authentication({"ci": HASH}), basic("nobody", "x")) is Verdict.UNKNOWN
    assert counted == [b"x"]


def test_hash_that_stands_in_for_unknown_users_lets_nobody_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "_NOBODY", HASH)

    assert check(Authentication({"ci": HASH}), basic("nobody", PASSWORD)) is Verdict.UNKNOWN


@pytest.mark.parametrize("password", ["x" * 73, "ä" * 37])
def test_too_long_password_costs_nothing(password: str, counted: list[bytes]) -> None:
    assert check(Authentication({"ci": HASH}), basic("ci", password)) is Verdict.UNKNOWN
    assert counted == []


def test_name_and_password_cannot_be_shifted_into_each_other(counted: list[bytes]) -> None:
    """A cache that joins its parts takes another user with another password for a known one."""
    users: Mapping[str, str] = {"ci": HASH, "c": HASH}
    known = Authentication(users)
    assert check(known, basic("ci", PASSWORD)) is Verdict.WELCOME

    assert check(known, basic("c", f"i{PASSWORD}")) is Verdict.UNKNOWN
    assert len(counted) == 2


def test_cache_is_bounded(counted: list[bytes]) -> None:
    users = {f"u{number}": HASH for number in range(CACHE_SIZE + 1)}
    known = Authentication(users)
    for user in users:
        check(known, basic(user, PASSWORD))
    before = len(counted)

    assert check(known, basic("u0", PASSWORD)) is Verdict.WELCOME
    assert len(counted) == before + 1
    assert check(known, basic(f"u{CACHE_SIZE}", PASSWORD)) is Verdict.WELCOME
    assert len(counted) == before + 1


def test_guesses_wait_in_a_bounded_queue_and_keep_nobody_else_out(counted: list[bytes]) -> None:
    known = Authentication({"ci": HASH})
    check(known, basic("ci", PASSWORD))

    async def guess() -> list[Verdict]:
        guesses = [known.check(basic("ci", f"guess {number}").encode()) for number in range(QUEUE_SIZE + 5)]
        return await asyncio.gather(*guesses, known.check(basic("ci", PASSWORD).encode()))

    verdicts = asyncio.run(guess())

    assert verdicts == [Verdict.UNKNOWN] * QUEUE_SIZE + [Verdict.BUSY] * 5 + [Verdict.WELCOME]
    assert len(counted) == 1 + QUEUE_SIZE


def test_known_users_get_in_after_a_reload_under_a_flood_of_wrong_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one whose password has another hash now; not one whose password is another one, nor one who is gone."""
    other_hash = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    new_password = bcrypt.hashpw(b"new", bcrypt.gensalt(4)).decode()
    before = Authentication(dict.fromkeys(("ci", "rehashed", "changed", "gone"), HASH))
    assert {check(before, basic(user, PASSWORD)) for user in ("ci", "rehashed", "changed", "gone")} == {Verdict.WELCOME}
    after = Authentication({"ci": HASH, "rehashed": other_hash, "changed": new_password}, before=before)
    real, flood_goes_on = bcrypt.checkpw, threading.Event()
    monkeypatch.setattr(bcrypt, "checkpw", lambda *asked: flood_goes_on.wait(60) and real(*asked))

    async def flooded() -> dict[str, Verdict]:
        guesses = [before.check(basic("ci", f"guess {number}").encode()) for number in range(QUEUE_SIZE)]
        flood = asyncio.gather(*guesses)  # its queue is the new one's queue
        await asyncio.sleep(0)
        found = {"ci": await after.check(basic("ci", PASSWORD).encode())}
        waiting = asyncio.create_task(after.check(basic("rehashed", PASSWORD).encode()))
        for user, password in (("changed", "new"), ("rehashed", "wrong"), ("gone", PASSWORD)):
            found[f"{user}, {password}"] = await after.check(basic(user, password).encode())
        flood_goes_on.set()
        return {**found, "rehashed": await waiting, "flood": max(await flood, key=str)}

    assert asyncio.run(flooded()) == {
        "ci": Verdict.WELCOME,
        "rehashed": Verdict.WELCOME,
        "changed, new": Verdict.BUSY,
        "rehashed, wrong": Verdict.BUSY,
        "gone, correct horse": Verdict.BUSY,
        "flood": Verdict.UNKNOWN,
    }


def test_busy_is_answered_with_429(tmp_path: Path) -> None:
    slow = bcrypt.hashpw(b"x", bcrypt.gensalt(12)).decode()  # slow enough for the queue to fill
    (tmp_path / "web.yml").write_text(f"basic_auth_users:\n  ci: {slow}\n", encoding="utf-8")
    with sidecar(tmp_path, config='[serve]\nweb_config = "web.yml"\n') as running:

        def guess(number: int) -> tuple[int, str, str]:
            reply = ask(running.url, NOWHERE, headers={"Authorization": basic("ci", f"{number}")})
            return reply.status, reply.headers.get("retry-after", ""), reply.text

        with ThreadPoolExecutor(40) as threads:
            replies = set(threads.map(guess, range(40)))

    assert replies == {(401, "", "Unauthorized\n"), (429, "1", "too many attempts to log in; try again\n")}


def test_certificate_is_served_and_renewed_on_sighup(tmp_path: Path) -> None:
    first, second = trustme.CA(), trustme.CA()
    write_certificate(first, tmp_path)
    (tmp_path / "web.yml").write_text("tls_server_config: {cert_file: s.crt, key_file: s.key}\n", encoding="utf-8")
    with sidecar(tmp_path, config='[serve]\nweb_config = "web.yml"\n') as running:
        assert running.url.startswith("https://127.0.0.1:")
        assert ask(running.url, "/-/healthy", context=trusting(first)).status == 200

        write_certificate(second, tmp_path)
        running.send(signal.SIGHUP)
        running.waits_for("the configuration was read again")

        assert ask(running.url, "/-/healthy", context=trusting(second)).status == 200


def test_client_that_never_finishes_its_handshake_is_cut_off(tmp_path: Path) -> None:
    authority = trustme.CA()
    write_certificate(authority, tmp_path)
    (tmp_path / "web.yml").write_text("tls_server_config: {cert_file: s.crt, key_file: s.key}\n", encoding="utf-8")
    with sidecar(tmp_path, config='[serve]\nweb_config = "web.yml"\nheader_timeout = 0.2\n') as running:
        parts = urlsplit(running.url)
        # Half of the minute that asyncio would wait.
        with socket.create_connection((parts.hostname, parts.port), timeout=30) as client:
            assert client.recv(1) == b""


def test_client_certificate_is_required(tmp_path: Path) -> None:
    authority = trustme.CA()
    write_certificate(authority, tmp_path)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.crt"))
    (tmp_path / "web.yml").write_text(
        "tls_server_config: {cert_file: s.crt, key_file: s.key, client_ca_file: ca.crt, "
        "client_auth_type: RequireAndVerifyClientCert}\n",
        encoding="utf-8",
    )
    with sidecar(tmp_path, config='[serve]\nweb_config = "web.yml"\n') as running:
        context = trusting(authority)
        with pytest.raises((ssl.SSLError, ConnectionError)):
            ask(running.url, NOWHERE, context=context)
        authority.issue_cert("client").configure_cert(context)

        assert ask(running.url, NOWHERE, context=context).status == 404


def test_handshake_below_the_lowest_version_is_refused(tmp_path: Path) -> None:
    authority = trustme.CA()
    write_certificate(authority, tmp_path)
    (tmp_path / "web.yml").write_text(
        "tls_server_config: {cert_file: s.crt, key_file: s.key, min_version: TLS13}\n", encoding="utf-8"
    )
    with sidecar(tmp_path, config='[serve]\nweb_config = "web.yml"\n') as running:
        old, new = trusting(authority), trusting(authority)
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises((ssl.SSLError, ConnectionError)):
            ask(running.url, "/-/healthy", context=old)

        assert ask(running.url, "/-/healthy", context=new).status == 200


def test_headers_of_the_web_configuration_are_sent_with_every_answer(tmp_path: Path) -> None:
    (tmp_path / "web.yml").write_text(
        "http_server_config: {headers: {Strict-Transport-Security: max-age=60, X-Frame-Options: deny}}\n", "utf-8"
    )
    with sidecar(tmp_path, config='[serve]\nweb_config = "web.yml"\n') as running:
        answers = [ask(running.url, path) for path in ("/-/healthy", "/metrics", NOWHERE)]

    told = {(of.headers["strict-transport-security"], of.headers["x-frame-options"]) for of in answers}
    assert told == {("max-age=60", "deny")}


def write_certificate(authority: trustme.CA, directory: Path) -> None:
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_pem.write_to_path(str(directory / "s.key"))
    certificate.cert_chain_pems[0].write_to_path(str(directory / "s.crt"))


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context
