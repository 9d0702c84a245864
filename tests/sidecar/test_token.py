"""A sidecar that is reached from elsewhere and has no token makes one."""

from __future__ import annotations

import argparse
import signal
from pathlib import Path

import pytest

from pytest_sergas.cli.serve import add_arguments, settings
from pytest_sergas.errors import ConfigurationError
from pytest_sergas.sidecar.serve import read
from tests.servers.sidecar import sidecar
from tests.sidecar.conftest import Reply, ask

pytestmark = pytest.mark.integration

CONFIG = '[serve]\ntoken_file = "mounted"\nmake_token = true\nlog_level = "debug"\n'
FAILING = CONFIG + '[[checks]]\ntype = "tcp"\nname = "database"\nhost = "127.0.0.1"\nport = 1\nfailures = 1\n'


def test_token_is_made_and_all_but_the_probes_want_it(tmp_path: Path) -> None:
    with sidecar(tmp_path, "--listen", "0.0.0.0:0", config=FAILING) as running:
        url = running.url.replace("0.0.0.0", "127.0.0.1")  # noqa: S104
        path = tmp_path / "sergas.db.token"
        token = path.read_text("utf-8").strip()

        def bearer(value: str, where: str = "/health", method: str = "GET") -> Reply:
            return ask(url, where, method, headers={"Authorization": f"Bearer {value}"})

        running.waits_for(f"token_file = 'mounted' does not exist; the token in {path} is accepted")
        assert [ask(url, probe).status for probe in ("/-/healthy", "/-/ready")] == [200, 200]
        running_checks = bearer(token).json["details"]["total_checks"]
        assert running_checks == 1
        bare = ask(url, "/health")
        assert list(bare.json) == ["status"]
        assert (bare.json["status"] == "unhealthy") == (bare.status == 503)
        assert ask(url, "/health", "HEAD").status in {200, 503}
        assert [bearer("wrong").status, ask(url, "/health", "POST").status] == [401, 401]
        refused = ("/", "/metrics", "/health/", "/api/runs", "/api/monitoring/status", "/alerts", "/metrics/job/x")
        assert {where: ask(url, where).status for where in refused} == dict.fromkeys(refused, 401)
        assert bearer(token, "/metrics").status == 200

        (tmp_path / "mounted").write_text("of-mine", encoding="utf-8")
        running.send(signal.SIGHUP)
        running.waits_for("the configuration was read again")
        assert [bearer("of-mine", "/metrics").status, bearer(token, "/metrics").status] == [200, 401]
        assert token not in running.printed


@pytest.mark.parametrize(
    ("config", "fault"),
    [
        (
            '[serve]\nmake_token = true\nstore = ":memory:"\n',
            "make_token = true: a store in ':memory:' keeps no token; name a file as store, or set token_file",
        ),
        ('[serve]\nmake_token = true\nstore = "no/such.db"\n', "no/such.db.token' cannot be written: No such file"),
        ('[serve]\nmake_token = true\ntoken_file = "."\n', "token_file = '.': cannot be read: Is a directory"),
    ],
    ids=["memory", "no directory", "a file that cannot be read is meant all the same"],
)
def test_token_that_cannot_be_made_is_a_fault(
    config: str, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigurationError) as raised:
        read_in(tmp_path, config, monkeypatch)

    assert fault in str(raised.value)


def test_no_token_is_made_where_users_have_to_log_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed = "$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e"
    (tmp_path / "web.yml").write_text(f"basic_auth_users:\n  ci: {hashed}\n", encoding="utf-8")

    read_in(tmp_path, '[serve]\nmake_token = true\nweb_config = "web.yml"\n', monkeypatch)

    assert not (tmp_path / "sergas.db.token").exists()


def read_in(directory: Path, config: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(directory)
    (directory / "sergas.toml").write_text(config, encoding="utf-8")
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    arguments = parser.parse_args([])
    read(lambda: settings(arguments), allow_unauthenticated=False)
