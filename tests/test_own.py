"""The runner's own tools: what the libraries that stop time or replace files leave of them, and what is put back."""

from __future__ import annotations

import builtins
import json
import os
import time
from pathlib import Path

import pytest
import time_machine
from freezegun import freeze_time
from pyfakefs.fake_filesystem_unittest import Patcher

from pytest_sergas.own import Own, unpatched

pytestmark = pytest.mark.unit


def refuse(*arguments: object, **keywords: object) -> None:
    raise AssertionError((arguments, keywords))


def test_clocks_go_on_while_time_is_frozen() -> None:
    before = Own.perf_counter(), Own.monotonic(), Own.wall_s()

    with freeze_time("2021-03-04"):
        assert time.time() < before[2] - 1e6
        after = Own.perf_counter(), Own.monotonic(), Own.wall_s()

    assert all(0 < later - sooner < 60 for sooner, later in zip(before, after, strict=True))


def test_clocks_go_on_while_time_travels() -> None:
    before = Own.perf_counter(), Own.monotonic(), Own.wall_s()

    with time_machine.travel("2021-03-04"):
        assert time.time() < before[2] - 1e6
        after = Own.perf_counter(), Own.monotonic(), Own.wall_s()

    assert all(0 < later - sooner < 60 for sooner, later in zip(before, after, strict=True))


def test_wall_time_is_that_of_the_system() -> None:
    assert abs(Own.wall_s() - time.time()) < 1


def test_files_are_real_where_the_file_system_is_a_fake(tmp_path: Path) -> None:
    file = tmp_path / "word.json"

    with Patcher():
        assert not os.path.exists(tmp_path)  # noqa: PTH110  the fake one is asked
        assert not Own.exists(file)
        Own.write_at_once(file, Own.dumps([1]))
        assert Own.exists(file)
        assert Own.loads(Own.read(file)) == [1]

    assert file.read_text() == "[1]"


@pytest.mark.parametrize(
    ("owner", "name"),
    [(time, "time"), (os, "replace"), (json, "dumps"), (builtins, "open"), (builtins, "__import__"), (Path, "exists")],
)
def test_standard_library_is_put_back_and_left_patched_again(
    monkeypatch: pytest.MonkeyPatch, owner: object, name: str
) -> None:
    real = getattr(owner, name)
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, refuse)
        with unpatched():
            assert getattr(owner, name) is real
        assert getattr(owner, name) is refuse


def test_attribute_that_was_deleted_is_there_again_for_that_long(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.delattr(os, "replace")
        with unpatched():
            assert os.replace is Own.replace
        assert not hasattr(os, "replace")


def test_what_raises_meanwhile_leaves_the_patches_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", refuse)
        with pytest.raises(ValueError, match="inside"), unpatched():
            raise ValueError("inside")
        assert os.replace is refuse
