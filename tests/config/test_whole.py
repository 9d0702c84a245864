"""The whole configuration is judged by every part: names, types and references, also of what another part uses."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from pytest_sergas import config
from pytest_sergas.config import load, load_sections
from pytest_sergas.config.channel_options import CHANNEL_OPTIONS
from pytest_sergas.config.check_options import CHECK_OPTIONS
from pytest_sergas.config.collect import BUILT_IN
from pytest_sergas.config.file import read_file
from pytest_sergas.errors import ConfigurationError

pytestmark = pytest.mark.unit


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path


def own(root: Path, text: str) -> None:
    (root / "sergas.toml").write_text(text, encoding="utf-8")


def faults(root: Path, *, environ: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Return what pytest has to say about the configuration."""
    try:
        load(root, environ=environ or {})
    except ConfigurationError as error:
        return error.faults
    return ()


def test_path_that_the_tests_need_is_nothing_to_the_sidecar(root: Path) -> None:
    own(root, "[types.unit]\npaths = ['tests/unit']\n[serve]\nruns_kept = 9\n")

    assert load_sections(read_file(root), ("serve",), environ={})["serve"].settings.runs_kept == 9
    (fault,) = faults(root)
    assert "paths = 'tests/unit': does not exist below" in fault


def test_key_of_a_table_that_stands_outside_is_sent_there(root: Path) -> None:
    own(root, "listen = '127.0.0.1:9000'\ninterval = 5\n")

    assert faults(root) == (
        "sergas.toml: listen = '127.0.0.1:9000': unknown key; it belongs to a table: [serve] listen",
        "sergas.toml: interval = 5: unknown key; it belongs to a table: [collect] interval",
    )


def test_names_at_the_top_are_those_of_the_sections() -> None:
    for name, names in config.TOP.items():
        section = config.find(name)
        assert sorted(names) == sorted((*section.names, *(section.keys if section.at_top else (name,))))


def test_only_sections_that_something_is_written_about_are_imported(root: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from pytest_sergas.config import load; load(Path('.'), environ={}); "
        "print(sorted(name for name in sys.modules if name.startswith('pytest_sergas.config.')))"
    )

    def imported(text: str) -> str:
        own(root, text)
        return subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True).stdout

    plain = "['pytest_sergas.config.file', 'pytest_sergas.config.runs', 'pytest_sergas.config.section']\n"
    assert imported("timeout = 5\n") == plain
    assert imported("[serve]\nruns_kept = 9\n") == plain.replace("section'", "section', 'pytest_sergas.config.serve'")


def test_types_that_come_with_us_are_those_of_the_entry_points() -> None:
    for group, built_in in {"checks": CHECK_OPTIONS, "channels": CHANNEL_OPTIONS, "collectors": BUILT_IN}.items():
        own = [entry.name for entry in entry_points(group=f"pytest_sergas.{group}") if "pytest_sergas." in entry.value]
        assert sorted(own) == sorted(built_in)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        pytest.param(
            "[[checks]]\ntype = 'postgres'\n",
            "[checks.1] type = 'postgres': there is no such check; did you mean 'postgresql'?",
            id="type of a check",
        ),
        pytest.param(
            "[[channels]]\ntype = 'webhok'\nname = 'team'\n",
            "[channels.team] type = 'webhok': there is no such channel; did you mean 'webhook'?",
            id="type of a channel",
        ),
        pytest.param(
            "[[checks]]\ntype = 'tcp'\nhots = '127.0.0.1'\nport = 1\n",
            "[checks.1] hots = '...': unknown key; did you mean 'host'?",
            id="option of a check",
        ),
        pytest.param(
            "[[channels]]\ntype = 'slack'\nwebhok_url = 'https://hooks.example/hunter2'\n",
            "[channels.1] webhok_url = '***': unknown key; did you mean 'webhook_url'?",
            id="option of a channel",
        ),
        pytest.param(
            "[[channels]]\ntype = 'webhook'\nurl = 'ftp://hooks.example/hunter2'\n",
            "[channels.1] url = '***': allowed: a URL that begins with http:// or https://",
            id="address of a channel",
        ),
        pytest.param(
            "[collect]\ndisabled = ['contianer']\n",
            "[collect] disabled = ['contianer']: 'contianer': there is no such collector; did you mean 'container'?",
            id="collector that is switched off",
        ),
        pytest.param(
            "[rules]\nready_made = ['test']\n",
            "[rules] ready_made = ['test']: 'test': there is no such ready-made file; did you mean 'tests'?",
            id="ready-made rules",
        ),
        pytest.param("[[chanels]]\n", "chanels = [{}]: unknown key; did you mean 'channels'?", id="table"),
        pytest.param("[rule]\n", "rule = {}: unknown key; did you mean 'rules'?", id="singular"),
        pytest.param("[Serve]\n", "Serve = {}: unknown key; did you mean 'serve'?", id="capitals of a table"),
    ],
)
def test_name_that_the_sidecar_does_not_know_is_refused_by_pytest_too(root: Path, text: str, fault: str) -> None:
    own(root, text)

    assert faults(root) == (f"sergas.toml: {fault}",)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        pytest.param(
            "channels = [{type = 'log', name = 'team'}]\n[[routes]]\nchannels = ['taem']\n",
            "routes.1: channels = 'taem': there is no channel of that name; did you mean 'team'?",
            id="channel of a route",
        ),
        pytest.param(
            "[[routes]]\nchannels = []\nescalate = [{after = 5, channels = ['lead']}]\n",
            "routes.1: channels = 'lead': there is no channel of that name; there are: 'slack', 'webhook', 'email'",
            id="channel of an escalation",
        ),
        pytest.param(
            "[[checks]]\ntype = 'tcp'\nhost = 'a'\nport = 1\ndepends_on = ['databse']\n"
            "[[checks]]\ntype = 'sqlite'\nname = 'database'\npath = 'a'\n",
            "checks.tcp: depends_on = 'databse': there is no check of that name; did you mean 'database'?",
            id="dependency",
        ),
    ],
)
def test_reference_to_what_is_not_there_is_refused_by_pytest_too(root: Path, text: str, fault: str) -> None:
    own(root, text)

    assert faults(root) == (fault,)


def test_route_to_a_channel_that_a_variable_makes_is_right_where_the_variable_is_not_set(root: Path) -> None:
    own(root, "[[routes]]\nchannels = ['slack']\n")

    assert faults(root) == ()
    with pytest.raises(ConfigurationError, match="there is no channel of that name"):
        load_sections(read_file(root), ("channels", "routes"), environ={})


def test_pytest_opens_no_file_that_the_sidecar_alone_needs(root: Path) -> None:
    own(
        root,
        "[serve]\nweb_config = 'web.yml'\ntoken_file = 'tokens'\n[rules]\nfiles = ['rules/*.yml']\n"
        "[[checks]]\ntype = 'http'\nurl = 'http://a'\ntoken_file = 'token'\n"
        "[[channels]]\ntype = 'slack'\nwebhook_url_file = 'slack'\n",
    )

    assert faults(root) == ()
