"""Files are written whole or not at all, and a place that cannot work is known before."""

from __future__ import annotations

import os
import resource
import stat
import tempfile
import threading
import warnings
from contextlib import suppress
from pathlib import Path

import pytest

from pytest_sergas.errors import PublishError
from pytest_sergas.publishers.files import unwritable, write_atomically

pytestmark = pytest.mark.unit


def test_file_holds_exactly_what_was_given(tmp_path: Path) -> None:
    write_atomically(tmp_path / "run.md", b"a\r\nb\n\xff")

    assert (tmp_path / "run.md").read_bytes() == b"a\r\nb\n\xff"


def test_missing_directories_are_created(tmp_path: Path) -> None:
    write_atomically(tmp_path / "build" / "reports" / "run.md", b"x")

    assert (tmp_path / "build" / "reports" / "run.md").read_bytes() == b"x"


def test_reader_of_the_old_file_keeps_all_of_it(tmp_path: Path) -> None:
    path = tmp_path / "run.md"
    path.write_bytes(b"old")

    with path.open("rb") as reader:
        write_atomically(path, b"new")
        assert reader.read() == b"old"

    assert path.read_bytes() == b"new"


def test_nothing_else_stays_in_the_directory(tmp_path: Path) -> None:
    write_atomically(tmp_path / "run.md", b"x")

    assert list(tmp_path.iterdir()) == [tmp_path / "run.md"]


def test_existing_file_keeps_its_permissions(tmp_path: Path) -> None:
    path = tmp_path / "run.md"
    path.touch()
    path.chmod(0o640)

    write_atomically(path, b"x")

    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_new_file_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "ordinary").touch()

    write_atomically(tmp_path / "run.md", b"x")

    assert (tmp_path / "run.md").stat().st_mode == (tmp_path / "ordinary").stat().st_mode


def test_symbolic_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real")

    write_atomically(tmp_path / "link", b"new")

    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"


def test_device_is_written_to_and_not_replaced() -> None:
    write_atomically(Path(os.devnull), b"x")

    assert stat.S_ISCHR(Path(os.devnull).stat().st_mode)
    assert Path(os.devnull).read_bytes() == b""


def test_name_as_long_as_the_file_system_allows_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 255)

    write_atomically(path, b"x")

    assert path.read_bytes() == b"x"


def test_failure_says_which_file_and_why(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    target = tmp_path / "file" / "run.md"

    with pytest.raises(PublishError) as raised:
        write_atomically(target, b"x")

    assert str(raised.value) == f"{target} cannot be written: File exists"


def test_file_that_could_only_be_written_in_part_leaves_the_old_one_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "run.md"
    path.write_bytes(b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    try:
        with pytest.raises(PublishError) as raised:
            write_atomically(path, b"x" * 100)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert str(raised.value) == f"{path} cannot be written: File too large"
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [tmp_path / "run.md"]


@pytest.mark.parametrize("name", ["new", "present", "missing/directory/new", os.devnull])
def test_place_that_can_be_written_has_no_fault(tmp_path: Path, name: str) -> None:
    (tmp_path / "present").touch()

    assert unwritable(tmp_path / name) is None


def test_directory_is_no_place_for_a_file(tmp_path: Path) -> None:
    assert unwritable(tmp_path) == "is a directory; name a file in it"


def test_place_below_a_file_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    assert unwritable(tmp_path / "file" / "run.md") == f"cannot be created: {tmp_path / 'file'} is not a directory"


def test_name_that_is_too_long_is_a_fault(tmp_path: Path) -> None:
    assert unwritable(tmp_path / ("n" * 256)) == "cannot be used: File name too long"


def test_directory_without_permission_is_a_fault() -> None:
    # Outside tmp_path, whose parents only its owner may enter.
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o555)
        expected = f"cannot be created: the directory {Path(directory).resolve()} is not writable"

        assert _as_ordinary_user(Path(directory, "run.md")) == expected


def _as_ordinary_user(path: Path) -> str | None:
    """Return what `unwritable` says to somebody whose permissions count, which root's do not."""
    if os.geteuid() != 0:
        return unwritable(path)
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a worker of pytest-xdist has threads
        child = os.fork()
    if child == 0:
        try:
            os.setuid(65534)
            os.write(writing, str(unwritable(path)).encode())
        finally:
            os._exit(0)  # whatever happens: it must not go on as pytest
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading, encoding="utf-8") as answer:
        return answer.read()


@pytest.mark.skipif(os.name != "posix", reason="permissions are those of POSIX")
def test_file_for_its_owner_alone_is_never_readable_for_others(tmp_path: Path) -> None:
    file = tmp_path / "secrets.yml"
    file.write_text("old", encoding="utf-8")
    modes: list[int] = []
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            for found in tmp_path.glob(".sergas-*"):
                with suppress(FileNotFoundError):
                    modes.append(stat.S_IMODE(found.stat().st_mode))

    looking = threading.Thread(target=look)
    looking.start()
    before = os.umask(0)
    try:
        while not modes:
            write_atomically(file, b"x" * 20_000_000, permissions=0o600)
    finally:
        os.umask(before)
        done.set()
        looking.join()

    assert set(modes) == {0o600}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
