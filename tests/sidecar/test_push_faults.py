"""What a sidecar survives: a kill, a full disk, a store that is used or damaged."""

from __future__ import annotations

import json
import re
import resource
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path

import pytest

from tests.servers.disk import disk, may_mount
from tests.servers.sidecar import sidecar
from tests.sidecar.http import get, push

pytestmark = pytest.mark.integration

JOB = "/metrics/job/j"
KIB = 1024


def stored(url: str) -> dict[str, str]:
    """Return group → value of its metric."""
    groups = json.loads(get(url, "/api/v1/metrics").body)["data"]
    return {group["labels"].get("a", ""): group["m"]["metrics"][0]["value"] for group in groups if "m" in group}


def test_every_push_that_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    acknowledged: list[set[str]] = [set() for _ in range(200)]
    together = threading.Barrier(200)
    enough = threading.Event()

    def client(number: int, url: str) -> None:
        together.wait(60)
        for count in range(1_000):
            name = f"{number}-{count}"
            try:
                answer = push(url, f"{JOB}/a/{name}", f"m {count}\n".encode())
            except (OSError, HTTPException):
                return  # killed
            assert answer.status == 200
            acknowledged[number].add(name)
            if sum(map(len, acknowledged)) > 300:
                enough.set()

    with sidecar(tmp_path) as server:
        threads = [threading.Thread(target=client, args=(number, server.url)) for number in range(200)]
        for thread in threads:
            thread.start()
        assert enough.wait(60)
        server.process.kill()
        for thread in threads:
            thread.join(60)
    names = set().union(*acknowledged)

    with sidecar(tmp_path, name="restarted") as server:
        assert len(names) > 300
        assert names - stored(server.url).keys() == set()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux changes the limits of a running process")
def test_full_disk_is_503_and_pushes_go_on_when_there_is_room(tmp_path: Path) -> None:
    with sidecar(tmp_path) as server:
        assert push(server.url, JOB, b"m 1\n").status == 200
        full = (tmp_path / "sergas.db-wal").stat().st_size
        _, hard = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (full, hard))

        answers = [push(server.url, f"{JOB}/a/{number}", b"m 2\n") for number in range(3)]

        assert {answer.status for answer in answers} == {503}
        assert re.fullmatch(
            rf"the store {tmp_path}/sergas\.db cannot be written: (disk I/O error|database or disk is full); "
            r"nothing of this was stored\n",
            answers[0].text,
        )
        assert stored(server.url) == {"": "1"}
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (hard, hard))
        assert push(server.url, f"{JOB}/a/1", b"m 3\n").status == 200
        assert stored(server.url) == {"": "1", "1": "3"}


@pytest.mark.skipif(not may_mount(), reason="only who may mount has a disk that is full")
def test_disk_without_room_is_named_and_pushes_go_on_when_there_is_some(tmp_path: Path) -> None:
    with disk(tmp_path / "small", 2_048) as small, sidecar(tmp_path, "--store", "small/sergas.db") as server:
        assert push(server.url, JOB, b"m 1\n").status == 200
        filling = small.path / "filling"
        with filling.open("wb", buffering=0) as file, suppress(OSError):
            while file.write(b"x" * KIB):
                pass

        answers = [
            push(server.url, f"{JOB}/a/{number}", b"# HELP m " + b"x" * 32 * KIB + b"\nm 2\n") for number in range(3)
        ]

        assert {answer.status for answer in answers} == {503}
        assert answers[0].text == (
            f"the store {tmp_path}/small/sergas.db cannot be written: its disk is full, with 0 KiB left; make room "
            "there; nothing of this was stored\n"
        )
        assert stored(server.url) == {"": "1"}
        ready = get(server.url, "/-/ready")
        assert (ready.status, ready.text) == (
            503,
            "pushes cannot be stored: its disk is full, with 0 KiB left; make room there\n",
        )
        assert get(server.url, "/-/healthy").status == 200
        filling.unlink()
        assert push(server.url, f"{JOB}/a/1", b"m 3\n").status == 200
        assert stored(server.url) == {"": "1", "1": "3"}
        assert get(server.url, "/-/ready").status == 200


@pytest.mark.skipif(not may_mount(), reason="only who may mount has a disk that cannot be written")
def test_start_on_a_read_only_disk_is_refused(tmp_path: Path) -> None:
    with disk(tmp_path / "small", 2_048) as small:
        with sidecar(tmp_path, "--store", "small/sergas.db"):
            pass
        small.remount("ro")

        assert refusal(tmp_path, "--store", "small/sergas.db") == (
            2,
            (
                f"sergas: the store {tmp_path}/small/sergas.db cannot be opened: Read-only file system; give a file "
                "that can be written\n"
            ),
        )


def test_stop_and_start_keep_every_group(tmp_path: Path) -> None:
    with sidecar(tmp_path) as server:
        assert push(server.url, f"{JOB}/a/1", b"m 1\n").status == 200
        server.send(signal.SIGTERM)
        assert server.wait() == 0

    with sidecar(tmp_path, name="restarted") as server:
        assert stored(server.url) == {"1": "1"}


def refusal(directory: Path, *options: str) -> tuple[int, str]:
    """Return the exit status of ``sergas serve`` that cannot start, and what it says."""
    command = [sys.executable, "-m", "pytest_sergas", "serve", "--listen", "127.0.0.1:0", *options]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, done.stderr


def test_second_sidecar_on_one_store_is_refused(tmp_path: Path) -> None:
    with sidecar(tmp_path) as server:
        assert refusal(tmp_path) == (
            2,
            f"sergas: another sidecar uses the store {tmp_path}/sergas.db; stop it, or give this one another file\n",
        )
        assert push(server.url, JOB, b"m 1\n").status == 200


def test_damaged_store_is_moved_aside_and_the_sidecar_starts(tmp_path: Path) -> None:
    (tmp_path / "sergas.db").write_bytes(b"no database" * KIB)

    with sidecar(tmp_path) as server:
        assert push(server.url, JOB, b"m 1\n").status == 200
        assert f"the store {tmp_path}/sergas.db is damaged (file is not a database) and was moved" in server.printed
    assert (tmp_path / "sergas.db.damaged").read_bytes() == b"no database" * KIB
