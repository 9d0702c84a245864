"""``sergas backup``: a copy at one moment, also while pushes come; and what it says when there can be none."""

from __future__ import annotations

import sqlite3
import stat
from pathlib import Path

import pytest

from pytest_sergas import cli
from tests.servers.sidecar import sidecar
from tests.sidecar.http import get, push

pytestmark = pytest.mark.integration


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_copy_of_a_running_sidecar_can_be_served(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with sidecar(here) as server:
        assert push(server.url, "/metrics/job/before", b"m 1\n").status == 200

        assert cli.main(["backup", "copy.db"]) == 0

        assert push(server.url, "/metrics/job/after", b"m 2\n").status == 200
    copy = here / "copy.db"
    assert capsys.readouterr().out == f"copied {here}/sergas.db to copy.db ({copy.stat().st_size} bytes)\n"
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    with sidecar(here, "--store", "copy.db", name="restored") as server:
        page = get(server.url, "/metrics").text
    assert 'job="before"' in page
    assert 'job="after"' not in page


def another_programs_file(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE theirs (x)")
    connection.close()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        pytest.param(["x.db"], "there is no store {here}/sergas.db; give its file with --store", id="no store"),
        pytest.param(
            ["--store", "theirs.db", "there.db"], "there.db exists; give a file that does not exist yet", id="exists"
        ),
        pytest.param(
            ["--store", "theirs.db", "x.db"],
            "theirs.db is another program's SQLite file; give the store's file with --store",
            id="another program's",
        ),
        pytest.param(
            ["--store", "there.db", "x.db"],
            "the store there.db cannot be copied to x.db: file is not a database",
            id="damaged",
        ),
        pytest.param(
            ["--store", "theirs.db", "missing/x.db"],
            "the store theirs.db cannot be copied to missing/x.db: No such file or directory",
            id="no directory",
        ),
    ],
)
def test_without_a_store_or_a_place_there_is_no_copy(
    arguments: list[str], text: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "there.db").write_bytes(b"no database" * 1000)
    another_programs_file(here / "theirs.db")

    assert cli.main(["backup", *arguments]) == 2

    assert capsys.readouterr().err == f"sergas: {text.format(here=here)}\n"
    assert not (here / "x.db").exists()
    assert list(here.glob("*.part")) == []


def test_store_in_memory_cannot_be_copied(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "sergas.toml").write_text('[serve]\nstore = ":memory:"\n', encoding="utf-8")

    assert cli.main(["backup", "x.db"]) == 2

    assert capsys.readouterr().err == (
        "sergas: the configuration keeps the store in memory, which has no file; name one with --store\n"
    )


def groups(path: Path) -> list[str]:
    connection = sqlite3.connect(path)
    try:
        return [row[0] for row in connection.execute("SELECT path FROM pushed_groups ORDER BY path")]
    finally:
        connection.close()


def test_restored_copy_is_served_and_no_log_brings_the_old_content_back(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The sidecar was killed: all that it took after the copy is in its log alone."""
    with sidecar(here) as server:
        assert push(server.url, "/metrics/job/before", b"m 1\n").status == 200
        assert cli.main(["backup", "copy.db"]) == 0
        assert push(server.url, "/metrics/job/after", b"m 2\n").status == 200
        assert cli.main(["restore", "copy.db"]) == 2
        text = f"another sidecar uses the store {here}/sergas.db; stop it, or give this one another file"
        assert capsys.readouterr().err == f"sergas: {text}\n"
        server.process.kill()
        server.wait()
    assert (here / "sergas.db-wal").stat().st_size > 0

    assert cli.main(["restore", "copy.db"]) == 0

    aside = here / "sergas.db.replaced"
    assert capsys.readouterr().out == f"restored copy.db to {here}/sergas.db; the store that was there is {aside}\n"
    assert not (here / "sergas.db-wal").exists()
    assert groups(here / "sergas.db") == ["/metrics/job/before"]
    assert groups(aside) == ["/metrics/job/after", "/metrics/job/before"]
    assert stat.S_IMODE((here / "sergas.db").stat().st_mode) == 0o600
    with sidecar(here, name="again") as server:  # neither of the two is taken for a hard link
        page = get(server.url, "/metrics").text
    assert 'job="before"' in page
    assert 'job="after"' not in page


def test_copy_is_restored_where_there_is_no_store_or_a_damaged_one(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with sidecar(here) as server:
        push(server.url, "/metrics/job/before", b"m 1\n")
        assert cli.main(["backup", "copy.db"]) == 0
    (here / "damaged.db").write_bytes(b"no database" * 1000)
    (here / "new.db-wal").write_bytes(b"left by a store that is gone")

    assert cli.main(["restore", "--store", "new.db", "copy.db"]) == 0
    assert cli.main(["restore", "--store", "damaged.db", "copy.db"]) == 0

    assert "there is damaged" not in capsys.readouterr().err
    assert groups(here / "new.db") == groups(here / "damaged.db") == ["/metrics/job/before"]
    assert (here / "damaged.db.replaced").read_bytes() == b"no database" * 1000


@pytest.mark.parametrize(
    ("copy", "text"),
    [
        pytest.param("x.db", "there is no copy x.db; name the file that `sergas backup` has written", id="no copy"),
        pytest.param(
            "theirs.db",
            "theirs.db is another program's SQLite file; name one that `sergas backup` has written",
            id="another program's",
        ),
        pytest.param(
            "there.db", "the copy there.db cannot be restored to {here}/sergas.db: file is not a database", id="damaged"
        ),
    ],
)
def test_copy_that_cannot_be_used_leaves_the_store_as_it_was(
    copy: str, text: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "there.db").write_bytes(b"no database" * 1000)
    another_programs_file(here / "theirs.db")
    (here / "sergas.db").write_bytes(b"as it was")

    assert cli.main(["restore", copy]) == 2

    assert capsys.readouterr().err == f"sergas: {text.format(here=here)}\n"
    assert (here / "sergas.db").read_bytes() == b"as it was"
    assert not (here / "sergas.db.part").exists()
