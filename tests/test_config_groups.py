"""The section of pushed groups: what may stand there, and how long a group lives."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_sergas.config import load_sections
from pytest_sergas.config.file import read_file
from pytest_sergas.config.groups import GroupSettings, TtlRule
from pytest_sergas.errors import ConfigurationError

pytestmark = pytest.mark.unit

RULE = 'allowed: a table with match and ttl, such as {match = {job = "nightly"}, ttl = 86400}'
SECONDS = "allowed: seconds (0 for ever), at least 0 and at most 31622400, such as 90 or '1h30m'"


def read(root: Path, text: str) -> GroupSettings:
    (root / "sergas.toml").write_text(f"[groups]\n{text}", encoding="utf-8")
    settings: GroupSettings = load_sections(read_file(root), ("groups",), environ={})["groups"].settings
    return settings


def test_nothing_configured_is_for_ever(tmp_path: Path) -> None:
    assert read(tmp_path, "") == GroupSettings()
    assert GroupSettings().ttl_s({"job": "j"}) is None


def test_first_rule_that_matches_decides(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        'ttl = 5\nttl_rules = [{match = {job = "a", x = "1"}, ttl = 1}, {match = {job = "a"}, ttl = 0}]\n',
    )

    assert settings.ttl_rules == (TtlRule({"job": "a", "x": "1"}, 1.0), TtlRule({"job": "a"}, 0.0))
    found = [settings.ttl_s(labels) for labels in ({"job": "a", "x": "1"}, {"job": "a", "x": "2"}, {"job": "b"})]
    assert found == [1.0, None, 5.0]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        pytest.param("ttl = -1", f"[groups] ttl = -1: {SECONDS}", id="ttl"),
        pytest.param(
            "ttl_rules = 1",
            '[groups] ttl_rules = 1: allowed: a list of tables such as {match = {job = "nightly"}, ttl = 86400}',
            id="no list",
        ),
        pytest.param("ttl_rules = [{ttl = 1}]", f"[groups.ttl_rules] 1 = {{ttl = ...}}: {RULE}", id="no match"),
        pytest.param(
            "ttl_rules = [{match = {job = 1}, ttl = 1}]",
            "[groups.ttl_rules] 1 = {match = ..., ttl = ...}: match: allowed: a table of labels, such as "
            '{job = "nightly"}',
            id="match",
        ),
        pytest.param(
            'ttl_rules = [{match = {job = "j"}, ttl = "x"}]',
            f"[groups.ttl_rules] 1 = {{match = ..., ttl = ...}}: ttl: {SECONDS}",
            id="ttl of a rule",
        ),
        pytest.param(
            "max_groups = 0", "[groups] max_groups = 0: allowed: groups, a whole number from 1 to 10000000", id="bound"
        ),
    ],
)
def test_fault_says_what_is_allowed(text: str, fault: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(tmp_path, text)

    assert caught.value.faults == (f"sergas.toml: {fault}",)
