"""Durations from the sidecar: a real one orders the run, and one that does not answer is one line."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from pytest_sergas.core.ctrf import to_json
from tests.plugin.conftest import Run
from tests.publishers.conftest import attempt, record, run_of
from tests.servers.sidecar import sidecar
from tests.sidecar.conftest import ask
from tests.test_cli import sergas

pytestmark = pytest.mark.integration

TESTS = "def test_a(): pass\ndef test_b(): pass\ndef test_c(): pass\n"


def unused() -> str:
    """Return an address at which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}"


def test_durations_of_the_sidecar_order_the_run(pytester: pytest.Pytester, run: Run, tmp_path: Path) -> None:
    pytester.makepyfile(test_a="def test_a(): pass\ndef test_b(): pass\n")
    slow, other = record("test_a.py::test_b", attempt(call_s=9.0)), record("test_a.py::test_b", attempt(call_s=1.0))
    with sidecar(tmp_path) as served:
        for number, test, project in ((1, slow, "shop"), (2, other, "another")):
            body = to_json(run_of(test, run_id=f"run-{number}", project=project))
            assert ask(served.url, "/api/runs", "POST", headers={"Content-Type": "application/json"}, body=body).status
        pytester.makefile(".toml", sergas='project = "shop"\n')

        ran = run("-n2", "-v", "--sergas-durations", served.url)

    assert "shared out by 1 recorded duration" in ran.text
    assert ran.document is not None
    assert "notes" not in ran.document["results"]["extra"]
    assert not list(pytester.path.glob("http*")), "the URL was taken for a file"


def test_sidecar_takes_what_is_pushed_to_a_pushgateway(pytester: pytest.Pytester, run: Run, tmp_path: Path) -> None:
    pytester.makepyfile(test_a=f"import pytest\npytestmark = pytest.mark.unit\n{TESTS}")
    pytester.makefile(".toml", sergas='project = "shop"\n')
    with sidecar(tmp_path) as served:
        ran = run("--sergas-push", served.url)

        page = ask(served.url, "/metrics").text

    assert ran.document is not None
    assert "notes" not in ran.document["results"]["extra"]
    assert 'sergas_tests{instance="",job="shop",outcome="passed",type="unit"} 3' in page.splitlines()


def test_own_durations_come_before_those_of_the_sidecar(pytester: pytest.Pytester, tmp_path: Path) -> None:
    from pytest_sergas.config import load
    from pytest_sergas.core.durations import Duration
    from pytest_sergas.core.durations import to_json as durations_json
    from pytest_sergas.plugin.durations import KeptDurations
    from tests.plugin.test_durations import CACHED

    cached = pytester.path / CACHED
    cached.parent.mkdir(parents=True)
    cached.write_bytes(durations_json({"a.py::test_a": Duration(5.0, 2.0)}))
    with sidecar(tmp_path) as served:
        tests = (record("a.py::test_a", attempt(call_s=90.0)), record("a.py::test_b", attempt(call_s=1.0)))
        body = to_json(run_of(*tests, project="shop"))
        ask(served.url, "/api/runs", "POST", headers={"Content-Type": "application/json"}, body=body)
        options = {"durations": ("--sergas-durations", served.url), "project": ("here", "shop")}
        config = pytester.parseconfig("-p", "cacheprovider", f"--rootdir={pytester.path}")
        history = KeptDurations(config, load(pytester.path, environ={}, options=options)).history()

    assert history.durations["a.py::test_a"] == 5.0
    assert history.durations["a.py::test_b"] >= 1.0
    assert history.setups == {"a.py::test_a": 2.0}


def test_sidecar_that_is_not_there_is_one_line_and_the_run_goes_on(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(test_a=TESTS)
    url = unused()

    ran = run("-n1", f"--sergas-durations={url.replace('//', '//me:hidden-word@')}")

    assert ran.document is not None
    note = f"durations: {url}: connection refused; planned without them"
    assert ran.document["results"]["extra"]["notes"] == [note]
    assert f"note: {note}" in " ".join(ran.text.split())
    assert "hidden-word" not in ran.text
    assert ran.result.ret == pytest.ExitCode.OK


def test_sidecar_that_answers_byte_by_byte_is_waited_for_until_the_deadline(
    pytester: pytest.Pytester, run: Run
) -> None:
    pytester.makepyfile(test_a=TESTS)
    pytester.makefile(".toml", sergas="publish_deadline = 0.5\n")
    over = threading.Event()

    def answer(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection, suppress(OSError):  # it hangs up
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            while not over.wait(0.1):
                connection.sendall(b" ")

    with socket.create_server(("127.0.0.1", 0)) as slow:
        url = f"http://127.0.0.1:{slow.getsockname()[1]}"
        thread = threading.Thread(target=answer, args=(slow,))
        thread.start()
        ran = run("-n1", "--sergas-durations", url)
        over.set()
        thread.join()

    assert ran.document is not None
    note = f"durations: {url}: no answer within 0.5 s; planned without them"
    assert ran.document["results"]["extra"]["notes"] == [note]
    assert ran.result.ret == pytest.ExitCode.OK


def test_plan_that_is_only_shown_says_it_too(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_a=TESTS)
    url = unused()

    shown = sergas(pytester.path, "plan", "--", "-p", "no:cacheprovider", f"--sergas-durations={url}")

    assert shown.status == 0
    assert shown.err == f"durations: {url}: connection refused; planned without them\n"


def test_shard_cannot_be_cut_by_what_changes_between_machines(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(test_a=TESTS)

    ran = run("--sergas-durations=http://me:hidden-word@127.0.0.1:1", "--sergas-shard=1/2", record=False)

    assert ran.result.ret == pytest.ExitCode.USAGE_ERROR
    said = ran.result.stderr.str()
    assert (
        "durations = 'http://***@127.0.0.1:1': what a sidecar serves changes with each run, "
        "and a shard needs the same on each machine; name a file"
    ) in said
    assert "hidden-word" not in said


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        pytest.param(
            "ftp://here",
            "command line: --sergas-durations = 'ftp://here': not a URL of a gateway; "
            "allowed: http://HOST:PORT or https://HOST:PORT, such as http://127.0.0.1:9091",
            id="scheme",
        ),
        pytest.param(
            "http://me@127.0.0.1:1",
            "durations (command line: --sergas-durations): a user name (the URL) without a password; "
            "set push_username and push_password_file, or SERGAS_PUSH_USERNAME and SERGAS_PUSH_PASSWORD",
            id="half of the credentials",
        ),
    ],
)
def test_url_that_cannot_be_asked_is_a_fault_before_the_run(
    pytester: pytest.Pytester, run: Run, url: str, expected: str
) -> None:
    pytester.makepyfile(test_a=TESTS)

    ran = run("--sergas-durations", url, record=False)

    assert ran.result.ret == pytest.ExitCode.USAGE_ERROR
    assert expected in ran.result.stderr.str()
