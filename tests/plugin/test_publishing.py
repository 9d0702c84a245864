"""All publishers have one deadline, what was not sent is said in one line, and the exit status stays pytest's."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest

from pytest_sergas.core.grouping import from_path
from pytest_sergas.core.records import RunRecord
from pytest_sergas.errors import PublishError
from pytest_sergas.plugin.publishing import Sent, not_sent, places, publish_all
from pytest_sergas.publishers import Publication
from tests.plugin.conftest import Run
from tests.servers.gateways import Answer, Received, answering, hanging, refusing, trickling

pytestmark = pytest.mark.integration

RUN = RunRecord(run_id="r1", project="shop", started_s=0.0, finished_s=1.0)
DONE = Publication(place="there")


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


@dataclass(frozen=True, slots=True)
class Publisher:
    """A publisher that does what ``work`` does."""

    name: str
    work: Callable[[RunRecord, Callable[[], float]], object]
    writes: tuple[Path, ...] = ()

    def publish(self, run: RunRecord, remaining_s: Callable[[], float]) -> Publication:
        return self.work(run, remaining_s)  # type: ignore[return-value]  # strangers return what they like


def done(run: RunRecord, remaining_s: Callable[[], float]) -> Publication:
    del run, remaining_s
    return DONE


def raising(error: BaseException) -> Callable[[RunRecord, Callable[[], float]], NoReturn]:
    def work(run: RunRecord, remaining_s: Callable[[], float]) -> NoReturn:
        del run, remaining_s
        raise error

    return work


def test_results_come_in_the_order_of_the_publishers() -> None:
    results = publish_all([Publisher("b", done), Publisher("a", done)], RUN, 60)

    assert results == (Sent("b", DONE), Sent("a", DONE))
    assert not_sent(results) == ""
    assert places(results) == {"b": "there", "a": "there"}


def test_publisher_that_hangs_is_abandoned_and_named() -> None:
    over = threading.Event()

    results = publish_all([Publisher("slow", lambda *_: over.wait()), Publisher("quick", done)], RUN, 0.2)
    over.set()

    assert not_sent(results) == "not sent: slow: not done within 0.2 s"
    assert results[1] == Sent("quick", DONE)


def test_publishers_share_one_deadline() -> None:
    told: list[float] = []
    over = threading.Event()

    def wait(run: RunRecord, remaining_s: Callable[[], float]) -> None:
        del run
        told.append(remaining_s())
        over.wait()

    results = publish_all([Publisher(name, wait) for name in "abc"], RUN, 0.2)
    over.set()

    assert not_sent(results) == "not sent: " + "; ".join(f"{name}: not done within 0.2 s" for name in "abc")
    assert len(told) == 3  # none had to wait for another to give up
    assert all(0 < seconds < 0.2 for seconds in told)


def test_publisher_that_gives_up_when_nothing_is_left_is_still_heard() -> None:
    def give_up(run: RunRecord, remaining_s: Callable[[], float]) -> NoReturn:
        del run
        threading.Event().wait(remaining_s())
        raise PublishError("http://x: nobody there")

    assert not_sent(publish_all([Publisher("a", give_up)], RUN, 2)) == "not sent: a: http://x: nobody there"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        pytest.param(PublishError("http://x: refused"), "http://x: refused", id="as agreed"),
        pytest.param(PublishError("two\nlines\x1b[31m\x07"), "two lines", id="two lines"),
        pytest.param(PublishError("x" * 600), "x" * 497 + "...", id="without an end"),
        pytest.param(KeyError("shop"), "KeyError: 'shop'", id="a defect"),
        pytest.param(SystemExit(3), "SystemExit: 3", id="exit"),
        pytest.param(pytest.fail.Exception("no"), "Failed: no", id="pytest.fail"),
    ],
)
def test_publisher_that_raises_is_named_and_the_others_deliver(error: BaseException, text: str) -> None:
    results = publish_all([Publisher("a", raising(error)), Publisher("b", done)], RUN, 60)

    assert not_sent(results) == f"not sent: a: {text}"
    assert results[1] == Sent("b", DONE)


def test_publisher_that_returns_something_else_is_named() -> None:
    results = publish_all([Publisher("a", lambda *_: None)], RUN, 60)

    assert not_sent(results) == "not sent: a: publish() returned NoneType, not a Publication"


def test_interrupt_ends_the_wait_and_keeps_what_is_done() -> None:
    over = threading.Event()
    first_done = threading.Event()

    def finish(run: RunRecord, remaining_s: Callable[[], float]) -> Publication:
        del run, remaining_s
        first_done.set()
        return DONE

    def interrupt(run: RunRecord, remaining_s: Callable[[], float]) -> None:
        del run, remaining_s
        first_done.wait()
        os.kill(os.getpid(), signal.SIGINT)
        over.wait()

    results = publish_all([Publisher("first", finish), Publisher("second", interrupt)], RUN, 60)
    over.set()

    assert results == (Sent("first", DONE), Sent("second", None, "interrupted"))


# Through pytest


def test_gateway_that_refuses_is_one_line_and_no_other_exit_status(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile("import pytest\n@pytest.mark.unit\ndef test_a(): pass\ndef test_b(): pass")

    with refusing() as url:
        ran = run("--sergas-push", url)

    assert ran.result.ret == 0
    assert [line for line in ran.text.splitlines() if "not sent" in line] == [
        f"not sent: pushgateway: {url}: unit, untyped: connection refused"
    ]
    assert ran.outcomes == {"test_a": "passed", "test_b": "passed"}


def test_failed_run_keeps_its_exit_status_when_nothing_is_sent(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile("def test_a(): assert 0")

    with refusing() as url:
        ran = run("--sergas-push", url)

    assert ran.result.ret == 1


@pytest.mark.parametrize("server", [pytest.param(hanging, id="hangs"), pytest.param(trickling, id="trickles")])
def test_gateway_that_never_answers_costs_no_more_than_the_deadline(
    server: Callable[[], AbstractContextManager[str]], pytester: pytest.Pytester, run: Run
) -> None:
    pytester.makepyfile("def test_a(): pass")
    pytester.path.joinpath("sergas.toml").write_text("publish_deadline = 2", encoding="utf-8")

    with server() as url:  # the run ends although this one does not
        ran = run("--sergas-push", url)

    assert ran.result.ret == 0
    ran.result.stdout.fnmatch_lines(["ctrf: *", f"not sent: pushgateway: {url}: untyped: no answer within 2 s"])


def test_gateway_that_would_answer_later_is_not_waited_for(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile("def test_a(): pass")
    pytester.path.joinpath("sergas.toml").write_text("publish_deadline = 1", encoding="utf-8")
    asked_s: list[float] = []
    released = threading.Event()

    def late(_: Received) -> Answer:
        asked_s.append(time.monotonic())
        released.wait(100)
        return Answer()

    with answering(late) as server:
        ran = run("--sergas-push", server.url)
        ended_s = time.monotonic()
        released.set()

    ran.result.stdout.fnmatch_lines([f"not sent: pushgateway: {server.url}: untyped: no answer within 1 s"])
    assert 0.9 <= ended_s - asked_s[0] < 15  # a second, and the end of a process on a busy machine


def test_answer_of_the_gateway_is_shown(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile("def test_a(): pass")

    with answering(lambda _: Answer(400, "pushed metrics are invalid\n", {"Content-Type": "text/plain"})) as server:
        ran = run("--sergas-push", server.url)

    assert ran.result.ret == 0
    ran.result.stdout.fnmatch_lines(
        [f"not sent: pushgateway: {server.url}: untyped: it answered 400 Bad Request: pushed metrics are invalid"]
    )


def test_without_a_terminal_reporter_the_line_goes_to_standard_error(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile("def test_a(): pass")

    with refusing() as url:
        ran = run("--sergas-push", url, "-p", "no:terminal")

    ran.result.stderr.fnmatch_lines([f"sergas: not sent: pushgateway: {url}: untyped: connection refused"])


@pytest.mark.parametrize("workers", ["0", "2"])
def test_each_type_is_pushed_once_also_with_workers(pytester: pytest.Pytester, run: Run, workers: str) -> None:
    pytester.makepyfile(
        "import pytest\n"
        "@pytest.mark.unit\ndef test_a(): pass\n"
        "@pytest.mark.smoke\ndef test_b(): pass\n"
        "@pytest.mark.unit\ndef test_c(): pass\n"
    )

    with answering() as server:
        ran = run("--sergas-push", server.url, "-n", workers)

    assert ran.result.ret == 0
    assert sorted((request.method, from_path(request.path)["type"]) for request in server.received) == [
        ("POST", "smoke"),
        ("POST", "unit"),
    ]
    ran.result.stdout.fnmatch_lines([f"pushgateway: {server.url}"])


def test_gateway_is_also_named_by_the_environment(
    pytester: pytest.Pytester, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makepyfile("def test_a(): pass")

    with answering() as server:
        monkeypatch.setenv("PROMETHEUS_GATEWAY", server.url.removeprefix("http://"))
        run()

        assert [from_path(request.path)["type"] for request in server.received] == ["untyped"]


@pytest.mark.parametrize("status", [200, 307, 400, 401, 500])
def test_secrets_are_in_no_output(
    pytester: pytest.Pytester, run: Run, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    pytester.makepyfile("def test_a(): pass")
    monkeypatch.setenv("SERGAS_PUSH_USERNAME", "ci")
    monkeypatch.setenv("SERGAS_PUSH_PASSWORD", "hunter2")

    def answer(_: object) -> Answer:
        location = {"Location": "http://ci:hunter2@elsewhere/"}
        return Answer(status, "ci:hunter2 Basic Y2k6aHVudGVyMg==", location)

    with answering(answer) as server:
        ran = run("--sergas-push", server.url, "-vv")

    assert [request.headers["Authorization"] for request in server.received] == ["Basic Y2k6aHVudGVyMg=="]
    everything = ran.text + ran.result.stderr.str()
    assert "hunter2" not in everything
    assert "Y2k6aHVudGVyMg==" not in everything


def test_password_in_the_address_is_not_in_the_fault(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile("def test_a(): pass")

    ran = run("--sergas-push", "http://ci:hun/ter2@gateway:http")

    assert ran.result.ret == pytest.ExitCode.USAGE_ERROR
    assert "hun" not in ran.text + ran.result.stderr.str()


def test_every_fault_of_every_publisher_is_said_before_anything_runs(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile("def test_a(): open('ran', 'w')")
    pytester.path.joinpath("file").touch()

    ran = run("--sergas-ctrf=file/run.json", "--sergas-textfile=file/run.prom", record=False)

    assert ran.result.ret == pytest.ExitCode.USAGE_ERROR
    place = f"cannot be created: {pytester.path}/file is not a directory"
    ran.result.stderr.fnmatch_lines(
        [
            "ERROR: sergas: 2 faults in the configuration",
            f"  ctrf (command line: --sergas-ctrf) = '{pytester.path}/file/run.json': {place}",
            f"  textfile (command line: --sergas-textfile) = '{pytester.path}/file/run.prom': {place}",
        ]
    )
    assert not pytester.path.joinpath("ran").exists()


@pytest.mark.parametrize(
    ("options", "one", "other"),
    [
        pytest.param(["--sergas-ctrf=x.prom", "--sergas-textfile=./x.prom"], "ctrf", "textfile", id="ours"),
        pytest.param(["--junitxml=x.prom", "--sergas-textfile=x.prom"], "junit", "textfile", id="pytest's own"),
    ],
)
def test_two_publishers_for_one_file_are_refused(
    pytester: pytest.Pytester, run: Run, options: list[str], one: str, other: str
) -> None:
    pytester.makepyfile("def test_a(): open('ran', 'w')")

    ran = run(*options, record=False)

    assert ran.result.ret == pytest.ExitCode.USAGE_ERROR
    ran.result.stderr.fnmatch_lines(
        [f"  {one} and {other} would write the same file: {pytester.path}/x.prom; give one another name"]
    )
    assert not pytester.path.joinpath("ran").exists()


def stranger(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Install a distribution with one publisher, ``stranger``, whose module has this code."""
    site = pytester.mkdir("site")
    site.joinpath("stranger.py").write_text(code, encoding="utf-8")
    information = site / "stranger-1.dist-info"
    information.mkdir()
    information.joinpath("METADATA").write_text("Name: stranger\nVersion: 1\n", encoding="utf-8")
    information.joinpath("entry_points.txt").write_text(
        "[pytest_sergas.publishers]\nstranger = stranger:create\n", encoding="utf-8"
    )
    monkeypatch.setenv("PYTHONPATH", str(site))


def test_defect_of_a_strangers_publisher_does_not_end_the_run(
    pytester: pytest.Pytester, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makepyfile("def test_a(): pass")
    stranger(
        pytester,
        monkeypatch,
        "class Publisher:\n"
        "    name = 'stranger'\n"
        "    writes = ()\n"
        "    def publish(self, run, remaining_s):\n"
        "        return run.no_such_field\n"
        "def create(context):\n"
        "    return Publisher()\n",
    )

    ran = run()

    assert ran.result.ret == 0
    ran.result.stdout.fnmatch_lines(
        ["not sent: stranger: AttributeError: 'RunRecord' object has no attribute 'no_such_field'"]
    )
    assert ran.outcomes == {"test_a": "passed"}


@pytest.mark.parametrize(
    ("code", "text"),
    [
        pytest.param("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'", id="import"),
        pytest.param("create = 3", "TypeError: 'int' object is not callable", id="no factory"),
        pytest.param("def create(context): return {}['x']", "KeyError: 'x'", id="factory raises"),
    ],
)
def test_strangers_publisher_that_cannot_be_made_is_named_before_the_run(
    pytester: pytest.Pytester, run: Run, monkeypatch: pytest.MonkeyPatch, code: str, text: str
) -> None:
    pytester.makepyfile("def test_a(): open('ran', 'w')")
    stranger(pytester, monkeypatch, code)

    ran = run()

    assert ran.result.ret == pytest.ExitCode.USAGE_ERROR
    ran.result.stderr.fnmatch_lines([f"  publisher 'stranger' (stranger:create) cannot be used: {text}"])
    assert not pytester.path.joinpath("ran").exists()
