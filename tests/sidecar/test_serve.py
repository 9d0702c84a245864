"""``sergas serve`` as a process: where it listens, and how it ends."""

from __future__ import annotations

import contextlib
import gzip
import json
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pytest
import trustme

from tests.servers.process import get
from tests.servers.sidecar import sidecar
from tests.sidecar.conftest import ask

pytestmark = pytest.mark.integration


def ended(directory: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Return what ``sergas serve`` said that ended by itself."""
    command = [sys.executable, "-m", "pytest_sergas", "serve", *options]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False, timeout=60)


def test_it_says_where_it_listens_and_answers_there(tmp_path: Path) -> None:
    with sidecar(tmp_path) as running:
        assert get(f"{running.url}/-/ready") == "OK"
        assert get(f"{running.url}/-/healthy") == "OK"
        assert running.printed == f"listening on {running.url}\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_it_with_0(number: signal.Signals, tmp_path: Path) -> None:
    with sidecar(tmp_path) as running:
        running.send(number)

        assert running.wait() == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])  # noqa: S104  a stranger that listens on every address
def test_port_of_a_stranger_is_not_taken_over(host: str, tmp_path: Path) -> None:
    with socket.socket() as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        stranger.bind((host, 0))
        stranger.listen()
        port = stranger.getsockname()[1]

        done = ended(tmp_path, "--listen", f"127.0.0.1:{port}")

    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        f"sergas: cannot listen on 127.0.0.1:{port}: Address already in use; "
        "choose another with --listen ADDRESS:PORT\n"
    )


HASH = "$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e"
EXPOSED = (
    "sergas: 1 fault in the configuration\n"
    "  listen = '0.0.0.0:0': others than this machine could reach it, and nobody has to log in; "
    "set web_config or token_file, or start it with --allow-unauthenticated\n"
)


def test_other_machines_are_not_let_in_without_authentication(tmp_path: Path) -> None:
    done = ended(tmp_path, "--listen", "0.0.0.0:0")

    assert (done.returncode, done.stdout, done.stderr) == (2, "", EXPOSED)


@pytest.mark.parametrize(
    "option", ["--allow-unauthenticated", "--web-config=web.yml", "--config=with-tokens.toml"], ids=lambda text: text
)
def test_other_machines_are_let_in_with_authentication_or_by_force(option: str, tmp_path: Path) -> None:
    (tmp_path / "web.yml").write_text(f"basic_auth_users:\n  ci: {HASH}\n", encoding="utf-8")
    (tmp_path / "tokens").write_text("t0k3n", encoding="utf-8")
    (tmp_path / "with-tokens.toml").write_text('[serve]\ntoken_file = "tokens"\n', encoding="utf-8")

    with sidecar(tmp_path, "--listen", "0.0.0.0:0", option) as running:
        port = running.url.rpartition(":")[2]
        assert running.url == f"http://0.0.0.0:{port}"
        assert ask(f"http://127.0.0.1:{port}", "/-/healthy").status == 200


def test_ipv6_address_is_listened_on(tmp_path: Path) -> None:
    with sidecar(tmp_path, "--listen", "[::1]:0") as running:
        assert running.url.startswith("http://[::1]:")
        assert ask(running.url, "/-/healthy").status == 200


@pytest.mark.parametrize(
    ("options", "text"),
    [
        pytest.param(
            ("--listen", "8000"),
            "command line: --listen = '8000': allowed: ADDRESS:PORT, such as 127.0.0.1:8000, [::1]:8000 or "
            "0.0.0.0:8000",
            id="listen",
        ),
        pytest.param(
            ("--config", "gone.toml"), "gone.toml: no such file; sergas init writes one", id="no configuration"
        ),
        pytest.param(
            ("--web-config", "gone.yml"), "DIRECTORY/gone.yml: cannot be read: No such file or directory", id="no web"
        ),
    ],
)
def test_what_cannot_be_used_is_said_before_it_starts(options: tuple[str, ...], text: str, tmp_path: Path) -> None:
    done = ended(tmp_path, *options)

    assert (done.returncode, done.stdout) == (2, "")
    expected = f"sergas: 1 fault in the configuration\n  {text}\n"
    assert done.stderr == expected.replace("DIRECTORY", str(tmp_path))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        pytest.param(
            'token_file = "gone"', "token_file = 'gone': cannot be read: No such file or directory", id="no tokens"
        ),
        pytest.param(
            'token_file = "empty"', "token_file = 'empty': is empty; it has to hold one token a line", id="empty"
        ),
        pytest.param('token_file = "binary"', "token_file = 'binary': is not UTF-8 text", id="binary"),
        pytest.param(
            'web_config = "tls.yml"', "tls_server_config: No such file or directory", id="certificate that is not there"
        ),
    ],
)
def test_file_that_the_configuration_names_and_that_cannot_be_used_is_a_fault(
    text: str, fault: str, tmp_path: Path
) -> None:
    (tmp_path / "sergas.toml").write_text(f"[serve]\n{text}\n", encoding="utf-8")
    (tmp_path / "empty").write_text("\n", encoding="utf-8")
    (tmp_path / "binary").write_bytes(b"\xff")
    (tmp_path / "tls.yml").write_text("tls_server_config: {cert_file: a, key_file: b}\n", encoding="utf-8")

    done = ended(tmp_path, "--listen", "127.0.0.1:0")

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"sergas: 1 fault in the configuration\n  {fault}\n"


def test_faults_of_all_parts_are_listed_together(tmp_path: Path) -> None:
    config = """
[collect]
custom = ["nowhere:collect"]
[rules]
files = ["nowhere.yml"]
[[checks]]
type = "postgres"
[[channels]]
type = "slak"
[[routes]]
channels = ["team"]
"""
    (tmp_path / "sergas.toml").write_text(config, encoding="utf-8")

    done = ended(tmp_path, "--listen", "127.0.0.1:0")

    assert done.returncode == 2
    first, *faults = done.stderr.splitlines()
    assert first == "sergas: 3 faults in the configuration"
    assert all(word in fault for word, fault in zip(("postgres", "slak", "team"), faults, strict=True)), faults


def test_faults_of_what_the_configuration_names_are_listed_together(tmp_path: Path) -> None:
    config = """
[collect]
custom = ["nowhere:collect"]
[rules]
files = ["nowhere.yml"]
[[checks]]
type = "http"
url = "http://shop"
token_file = "nowhere.txt"
[[channels]]
type = "slack"
webhook_url_file = "nowhere.txt"
"""
    (tmp_path / "sergas.toml").write_text(config, encoding="utf-8")

    done = ended(tmp_path, "--listen", "127.0.0.1:0")

    assert done.returncode == 2
    first, *faults = done.stderr.splitlines()
    assert first == "sergas: 4 faults in the configuration"
    wrong = ("checks.http: token_file", "channels.slack: webhook_url_file", "nowhere.yml", "nowhere:collect")
    assert all(word in fault for word, fault in zip(wrong, faults, strict=True)), faults


def test_configuration_is_read_from_the_named_file(tmp_path: Path) -> None:
    elsewhere = tmp_path / "etc"
    elsewhere.mkdir()
    (elsewhere / "sidecar.toml").write_text('[serve]\nallowed_hosts = ["ci.example.org"]\n', encoding="utf-8")

    with sidecar(tmp_path, "--config", "etc/sidecar.toml") as running:
        assert ask(running.url, "/-/healthy", headers={"Host": "ci.example.org"}).status == 200
    assert (elsewhere / "sergas.db").exists()  # paths are relative to the file that names them


def test_sighup_follows_the_new_configuration(tmp_path: Path) -> None:
    with sidecar(tmp_path, config="[serve]\n") as running:
        assert ask(running.url, "/-/healthy", headers={"Host": "ci.example.org"}).status == 421
        (tmp_path / "sergas.toml").write_text('[serve]\nallowed_hosts = ["ci.example.org"]\n', encoding="utf-8")
        running.send(signal.SIGHUP)
        running.waits_for("the configuration was read again")

        assert ask(running.url, "/-/healthy", headers={"Host": "ci.example.org"}).status == 200


def test_sighup_with_a_wrong_configuration_keeps_the_old_one_loudly(tmp_path: Path) -> None:
    with sidecar(tmp_path, config='[serve]\nallowed_hosts = ["ci.example.org"]\n') as running:
        (tmp_path / "sergas.toml").write_text("[serve]\nallowed_hosts = 1\n", encoding="utf-8")
        running.send(signal.SIGHUP)
        running.waits_for(
            "ERROR pytest_sergas.sidecar.serve: the configuration in force stays, because the new one cannot be used: "
            "sergas: 1 fault in the configuration\\n  sergas.toml: [serve] allowed_hosts = 1: allowed: a list of texts"
        )

        assert ask(running.url, "/-/healthy", headers={"Host": "ci.example.org"}).status == 200
        assert "sergas_config_last_reload_successful 0\n" in ask(running.url, "/metrics").text
        for path in ("/", "/components"):
            assert "allowed_hosts = 1: allowed: a list of texts" in ask(running.url, path).text
        assert "Everything is fine" not in ask(running.url, "/").text
        (tmp_path / "sergas.toml").write_text("[[chanels]]\ntype = 'log'\n", encoding="utf-8")
        running.send(signal.SIGHUP)
        running.waits_for("did you mean 'channels'?")
        assert ask(running.url, "/-/healthy", headers={"Host": "ci.example.org"}).status == 200
        (tmp_path / "sergas.toml").write_text("[serve]\n", encoding="utf-8")
        running.send(signal.SIGHUP)
        running.waits_for("the configuration was read again")
        assert "sergas_config_last_reload_successful 1\n" in ask(running.url, "/metrics").text
        assert "is not in force" not in ask(running.url, "/").text


def test_sighup_switches_authentication_on(tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text("t0k3n", encoding="utf-8")
    with sidecar(tmp_path, config="[serve]\n") as running:
        assert ask(running.url, "/nowhere").status == 404
        (tmp_path / "sergas.toml").write_text('[serve]\ntoken_file = "tokens"\n', encoding="utf-8")
        running.send(signal.SIGHUP)
        running.waits_for("the configuration was read again")

        assert ask(running.url, "/nowhere").status == 401


def test_sighup_says_what_needs_a_new_start(tmp_path: Path) -> None:
    with sidecar(tmp_path, config="[serve]\n") as running:
        (tmp_path / "sergas.toml").write_text('[serve]\nstore = "other.db"\n', encoding="utf-8")
        running.send(signal.SIGHUP)

        running.waits_for("store has changed; start it again for that")


def test_sighup_does_not_switch_tls_on(tmp_path: Path) -> None:
    certificate = trustme.CA().issue_cert("127.0.0.1")
    certificate.private_key_pem.write_to_path(str(tmp_path / "s.key"))
    certificate.cert_chain_pems[0].write_to_path(str(tmp_path / "s.crt"))
    (tmp_path / "web.yml").write_text("tls_server_config: {cert_file: s.crt, key_file: s.key}\n", encoding="utf-8")
    with sidecar(tmp_path, config="[serve]\n") as running:
        (tmp_path / "sergas.toml").write_text('[serve]\nweb_config = "web.yml"\n', encoding="utf-8")
        running.send(signal.SIGHUP)
        running.waits_for("tls_server_config: TLS cannot be switched on or off; start it again")

        assert ask(running.url, "/-/healthy").status == 200


def test_logs_are_json_where_asked_for(tmp_path: Path) -> None:
    with sidecar(tmp_path, "--log-format", "json", config="[serve]\n") as running:
        running.send(signal.SIGHUP)
        running.waits_for('"message": "the configuration was read again"}\n')

        assert json.loads(running.printed.splitlines()[-1])["level"] == "INFO"


def test_what_is_below_the_level_is_not_logged(tmp_path: Path) -> None:
    with sidecar(tmp_path, "--log-level", "error", config="[serve]\n") as running:
        (tmp_path / "sergas.toml").write_text('[serve]\nstore = "other.db"\n', encoding="utf-8")
        running.send(signal.SIGHUP)
        (tmp_path / "sergas.toml").write_text("[serve]\nstore = 1\n", encoding="utf-8")
        running.send(signal.SIGHUP)
        running.waits_for("ERROR")

        assert "WARNING" not in running.printed
        assert "INFO" not in running.printed


def test_second_sidecar_on_one_store_is_refused(tmp_path: Path) -> None:
    with sidecar(tmp_path):
        done = ended(tmp_path, "--listen", "127.0.0.1:0")

    assert done.returncode == 2
    assert done.stderr == (
        f"sergas: another sidecar uses the store {tmp_path / 'sergas.db'}; stop it, or give this one another file\n"
    )


def test_store_in_memory_leaves_no_file(tmp_path: Path) -> None:
    with sidecar(tmp_path, "--store", ":memory:"):
        assert [path.name for path in tmp_path.iterdir()] == ["sidecar.log"]


def test_without_the_extra_it_names_the_command(tmp_path: Path) -> None:
    program = (
        "import sys\nsys.modules['uvicorn'] = None\nfrom pytest_sergas.cli import main\nsys.exit(main(['serve']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "sergas: the sidecar needs more packages: pip install 'pytest-sergas[sidecar]'\n"


UPLOADS = ("PUT /metrics/job/shop", "POST /api/runs", "POST /api/silences", "POST /alerts/silence")


def test_uploads_that_are_not_over_when_it_must_end_are_refused_without_a_traceback(tmp_path: Path) -> None:
    with sidecar(tmp_path, config="[serve]\ndrain_timeout = 1\n") as running, contextlib.ExitStack() as stack:
        place = urlsplit(running.url)
        where = (place.hostname or "", place.port or 0)
        clients = [stack.enter_context(socket.create_connection(where)) for _ in UPLOADS]
        for client, line in zip(clients, UPLOADS, strict=True):
            head = f"{line} HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Type: application/json\r\n"
            client.sendall(f"{head}Expect: 100-continue\r\nContent-Length: 100\r\n\r\n".encode())
            assert client.recv(100).startswith(b"HTTP/1.1 100")  # it waits for the body by now
            client.sendall(b"{")
        running.send(signal.SIGTERM)
        answers = [client.makefile("rb").read().decode() for client in clients]

        assert running.wait() == 0
    text = "the server stops, and could wait no longer for this request; send it again\n"
    assert [(answer.split(" ")[1], answer.endswith(text)) for answer in answers] == [("503", True)] * 4
    assert "Traceback" not in running.printed


def test_answers_are_compressed_where_the_client_accepts_it(tmp_path: Path) -> None:
    with sidecar(tmp_path) as running:
        for path in ("/", "/api/openapi.json", "/static/sergas.css", "/metrics"):
            sent = []
            for accepted in ("gzip", "gzip;q=0", "br"):
                request = Request(running.url + path, headers={"Accept-Encoding": accepted})
                with urlopen(request, timeout=60) as answer:
                    sent.append((answer.headers["Content-Encoding"], answer.read()))
            (zipped, packed), *plain = sent
            assert (path, zipped, [encoding for encoding, _ in plain]) == (path, "gzip", [None, None])
            assert len(gzip.decompress(packed)) > len(packed)
            if path.startswith(("/api", "/static")):
                assert gzip.decompress(packed) == plain[0][1]


def test_route_that_is_never_reached_is_warned_of_at_the_start(tmp_path: Path) -> None:
    config = 'channels = [{type = "log"}]\nroutes = [{channels = ["log"]}, {match = ["b=c"], channels = ["log"]}]\n'
    with sidecar(tmp_path, config=config) as running:
        running.waits_for("routes.2: is never reached: routes.1 before it takes everything; move it before that one")
