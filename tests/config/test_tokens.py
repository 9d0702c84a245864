"""Which file holds the accepted tokens, and the one that is made."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from pytest_sergas.config.serve import ServeSettings
from pytest_sergas.config.tokens import make_token, token_path

ABSENT, PRESENT, DANGLING = "absent", "present", "dangling"
pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        pytest.param(ServeSettings(), None, id="nothing is set"),
        pytest.param(ServeSettings(token_file=ABSENT), "absent", id="a named one that does not exist is a fault"),
        pytest.param(ServeSettings(make_token=True), "sergas.db.token", id="none is named"),
        pytest.param(ServeSettings(make_token=True, token_file=ABSENT), "sergas.db.token", id="a named one is absent"),
        pytest.param(ServeSettings(make_token=True, token_file=DANGLING), "sergas.db.token", id="a link to nothing"),
        pytest.param(ServeSettings(make_token=True, token_file=PRESENT), "present", id="a named one exists"),
        pytest.param(
            ServeSettings(make_token=True, token_file=f"{PRESENT}/x"), "present/x", id="it cannot be looked at"
        ),
        pytest.param(ServeSettings(make_token=True, store=":memory:"), None, id="no file to be beside"),
        pytest.param(ServeSettings(make_token=True, store="kept/s.db"), "kept/s.db.token", id="beside the store"),
    ],
)
def test_file_of_tokens(settings: ServeSettings, expected: str | None, tmp_path: Path) -> None:
    (tmp_path / "present").write_text("t", encoding="utf-8")
    (tmp_path / "dangling").symlink_to("nowhere")

    assert token_path(settings, tmp_path) == (None if expected is None else tmp_path / expected)


def test_token_that_was_made_is_long_for_its_owner_alone_and_stays(tmp_path: Path) -> None:
    paths = [tmp_path / "one", tmp_path / "two"]
    paths[1].touch(0o644)  # an interrupted writer's
    for path in (*paths, *paths):
        make_token(path)
    first, second = (path.read_text("utf-8").strip() for path in paths)
    make_token(paths[0])

    assert len(first) >= 43  # 256 bits
    assert first != second
    assert paths[0].read_text("utf-8") == f"{first}\n"
    assert [stat.S_IMODE(path.stat().st_mode) for path in paths] == [0o600, 0o600]
