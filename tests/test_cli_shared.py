"""What commands share: where options stand, which configuration is found, and how a sidecar is asked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from pytest_sergas.cli import command_names, main
from tests.servers.gateways import Answer, answering, refusing
from tests.servers.sidecar import sidecar

pytestmark = pytest.mark.integration

CHECK = '[[checks]]\ntype = "python"\nname = "stock"\ncall = "math:fsum"\n'
LOG = '[[channels]]\ntype = "log"\nname = "team"\n'
ROUTE = '[[routes]]\nname = "all"\nchannels = ["team"]\ngroup_wait = "5s"\n'
STATUS = json.dumps({"health": {}, "alerts": {}, "metrics": {}, "tests": {}})


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("SERGAS_PUSH_TOKEN", "SERGAS_PUSH_USERNAME", "SERGAS_PUSH_PASSWORD", "PROMETHEUS_GATEWAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(text: str, file: str = "sergas.toml") -> None:
    Path(file).write_text(text, encoding="utf-8")


# Where options stand


@pytest.mark.parametrize(
    "arguments",
    [
        ("--url", "URL", "silence", "list", "--json"),
        ("--url=URL", "--json", "silence", "list"),
        ("silence", "--url", "URL", "--json", "list"),
        ("silence", "list", "--url", "URL", "--json"),
        ("silence", "--json", "list", "--url", "URL"),
    ],
    ids=" ".join,
)
def test_options_stand_before_the_command_behind_it_and_behind_its_action(
    arguments: Sequence[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with answering(lambda _: Answer(200, '{"silences": []}')) as server:
        assert main([word.replace("URL", server.url) for word in arguments]) == 0

    assert json.loads(capsys.readouterr().out) == {"silences": []}


@pytest.mark.parametrize(
    "arguments",
    [
        ("--token-file", "t", "status", "--json"),
        ("status", "--token-file", "t", "--json"),
        ("status", "--json", "--token-file=t"),
    ],
    ids=" ".join,
)
def test_credentials_stand_where_one_likes(arguments: Sequence[str], capsys: pytest.CaptureFixture[str]) -> None:
    write("t0k3n\n", "t")
    with answering(lambda _: Answer(200, STATUS)) as server:
        assert main([*arguments, "--url", server.url]) == 0

    assert server.received[0].headers["Authorization"] == "Bearer t0k3n"
    capsys.readouterr()


def test_user_name_and_password_are_typed(capsys: pytest.CaptureFixture[str]) -> None:
    write("hunter2\n", "p")
    write("other\n", "t")
    write('push_token_file = "t"\n')
    with answering(lambda _: Answer(200, STATUS)) as server:
        assert main(["status", "--json", "--url", server.url, "--username", "me", "--password-file", "p"]) == 0

    assert server.received[0].headers["Authorization"] == "Basic bWU6aHVudGVyMg=="
    capsys.readouterr()


@pytest.mark.parametrize(
    ("arguments", "usage", "hint"),
    [
        (("plan", "--durations", "x"), "usage: sergas plan ", "unrecognized arguments: --durations"),
        (("silence", "list", "--ulr", "x"), "usage: sergas silence list ", "did you mean --url?"),
        (("--url", "x", "merge", "a", "-o", "b"), "usage: sergas merge ", "unrecognized arguments: --url"),
        (("config", "--jsn"), "usage: sergas config ", "did you mean --json?"),
    ],
)
def test_option_that_a_command_does_not_know_is_refused_with_its_usage(
    arguments: Sequence[str], usage: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)

    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith(usage)
    assert hint in said


# Which configuration is found

READERS = (
    ("checks", "--json"),
    ("channels", "--json"),
    ("routes", "--json"),
    ("rules", "check", "--json"),
    ("config", "--json"),
)


@pytest.mark.parametrize("command", READERS, ids=lambda command: command[0])
def test_configuration_is_found_from_a_folder_below(
    command: Sequence[str], here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(f"{LOG}{ROUTE}[[checks]]\ntype = 'sqlite'\npath = 'stock.db'\n")
    (here / "stock.db").touch()
    write("", "pytest.ini")
    (here / "sub" / "folder").mkdir(parents=True)
    monkeypatch.chdir(here / "sub" / "folder")

    assert main(command) == 0
    out = capsys.readouterr().out
    assert any(word in out for word in ("sqlite", "team", "sergas:system"))


def test_file_above_the_repository_is_not_ours(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(LOG)
    (here / "shop" / ".git").mkdir(parents=True)
    monkeypatch.chdir(here / "shop")

    assert main(["channels"]) == 2
    assert "no channels" in capsys.readouterr().err


def test_broken_file_above_that_is_not_ours_is_passed_over(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(LOG)
    (here / "shop" / "sub").mkdir(parents=True)
    (here / "shop" / "pyproject.toml").write_text("not TOML", encoding="utf-8")
    monkeypatch.chdir(here / "shop" / "sub")

    assert main(["channels"]) == 0
    assert "team" in capsys.readouterr().out


@pytest.mark.parametrize("command", READERS, ids=lambda command: command[0])
@pytest.mark.parametrize("at", [0, 1])
def test_configuration_is_named(
    command: Sequence[str], at: int, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "elsewhere").mkdir()
    write(f"{LOG}{ROUTE}[[checks]]\ntype = 'sqlite'\npath = 'stock.db'\n", "elsewhere/any.toml")
    (here / "elsewhere" / "stock.db").touch()

    assert main([*command[:at], "--config", "elsewhere/any.toml", *command[at:]]) == 0
    out = capsys.readouterr().out
    assert any(word in out for word in ("sqlite", "team", "sergas:system"))


@pytest.mark.parametrize(
    "command", [*READERS, ("serve", "--store", ":memory:"), ("status",)], ids=lambda command: command[0]
)
def test_every_command_judges_the_whole_configuration(
    command: Sequence[str], capsys: pytest.CaptureFixture[str]
) -> None:
    write("[[chanels]]\ntype = 'log'\n[rule]\nfiles = ['x.yml']\n[[checks]]\ntype = 'postgres'\n[serve]\nlistn = 'a'\n")

    assert main(command) == 2
    said = capsys.readouterr().err
    for near in ("channels", "rules", "postgresql", "listen"):
        assert f"did you mean {near!r}?" in said


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("checks",), "sergas: no checks; [[checks]]"),
        (("channels",), "sergas: no channels; [[channels]]"),
        (("channels", "test", "team"), "sergas: no channels; [[channels]]"),
        (("routes",), "sergas: no channels and no routes; [[channels]] and [[routes]]"),
        (("routes", "test", "severity=critical"), "sergas: no channels and no routes; [[channels]] and [[routes]]"),
        (("rules", "check"), "sergas: no rules; the key files of [rules]"),
        (("export", "alertmanager"), "sergas: no channels; [[channels]]"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_nothing_configured_for_what_is_asked_ends_with_2(
    command: Sequence[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write("[rules]\nready_made = []\n")

    assert main(command) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(said)


# How a sidecar is asked


def test_address_and_token_are_those_of_the_projects_own_sidecar(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write("t0k3n\nsecond\n", "tokens")
    write("[serve]\ntoken_file = 'tokens'\nstore = ':memory:'\n")
    with sidecar(here) as running:
        write(f"[serve]\ntoken_file = 'tokens'\nlisten = '{running.url.removeprefix('http://')}'\n")
        (here / "sub").mkdir()
        monkeypatch.chdir(here / "sub")
        assert main(["status"]) == 0
    assert capsys.readouterr().out.startswith(f"sidecar  {running.url} at ")


def test_own_token_is_sent_to_no_other_machine(capsys: pytest.CaptureFixture[str]) -> None:
    write("t0k3n\n", "tokens")
    write("[serve]\ntoken_file = 'tokens'\n")
    with answering(lambda _: Answer(401, "")) as server:
        elsewhere = server.url.replace("127.0.0.1", "127.0.0.2")
        port = elsewhere.rpartition(":")[2]
        assert main(["status", "--url", f"http://127.0.0.1:{port}"]) == 2

    assert server.received[0].headers["Authorization"] == "Bearer t0k3n"
    assert "it does not accept these credentials (401)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer(404, "nothing"), "it has no /api/silences (404); is it another server, or an older sidecar?"),
        (Answer(401, ""), "it wants credentials (401): --token-file, or --username and --password-file"),
        (Answer(503, '{"error": "the store is full"}'), "the store is full"),
        (Answer(500, "boom"), "it answered 500 Internal Server Error: boom"),
    ],
    ids=["404", "401", "503", "500"],
)
def test_refusal_says_what_to_do_about_it(answer: Answer, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with answering(lambda _: answer) as server:
        assert main(["silence", "list", "--url", server.url]) == 2

    assert capsys.readouterr().err == f"sergas: {server.url}: {said}\n"


def test_nobody_there_is_how_a_sidecar_is_started(capsys: pytest.CaptureFixture[str]) -> None:
    with refusing() as url:
        assert main(["alerts", "--url", url]) == 2

    assert capsys.readouterr().err == f"sergas: {url}: connection refused; sergas serve starts a sidecar\n"


def silences(*ids: str) -> str:
    about = {"matchers": [], "created_by": "", "comment": "", "ends": "", "is_active": True}
    return json.dumps({"silences": [{"id": silence, **about} for silence in ids], "ended": True})


def test_silence_is_ended_by_the_beginning_of_its_id(capsys: pytest.CaptureFixture[str]) -> None:
    with answering(lambda _: Answer(200, silences("4f2a9c017b33", "4faa00000000"))) as server:
        assert main(["silence", "end", "4f2", "--url", server.url]) == 0
        assert server.received[-1].path == "/api/silences/4f2a9c017b33"
        assert main(["silence", "end", "4f", "--url", server.url]) == 2
        assert main(["silence", "end", "9", "--url", server.url]) == 2

    captured = capsys.readouterr()
    assert captured.out == "4f2a9c017b33 has ended\n"
    assert captured.err == (
        "sergas: '4f' is how several silences begin: 4f2a9c017b33, 4faa00000000; type more of it\n"
        "sergas: there is no silence '9' in force; there are: 4f2a9c017b33, 4faa00000000\n"
    )


# Lists for programs


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (("channels",), {"channels": [{"name": "team", "type": "log"}]}),
        (("channels", "list"), {"channels": [{"name": "team", "type": "log"}]}),
        (("channels", "test", "team"), {"channels": [{"name": "team", "sent": True, "outcome": "sent"}]}),
        (("rules", "check"), {"files": {"sergas:sidecar": 7}}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_list_is_json_for_programs(
    command: Sequence[str], expected: object, capsys: pytest.CaptureFixture[str]
) -> None:
    write(f"{LOG}{ROUTE}[rules]\nready_made = ['sidecar']\n")

    assert main([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    if "files" in found:
        found["files"]["sergas:sidecar"] = 7  # how many there are is not the subject
    assert found == expected


def test_routes_are_json_with_the_keys_of_the_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    write(LOG + ROUTE)

    assert main(["routes", "test", "severity=critical", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["level"], found["muted_by"]) == ("critical", None)
    [route] = found["routes"]
    assert route["channels"] == ["team"]
    assert route["group_wait"] == 5
    assert route["continue"] is False


def test_every_command_that_lists_takes_json(capsys: pytest.CaptureFixture[str]) -> None:
    others = {"backup", "export", "init", "merge", "report", "restore", "serve"}  # which write files, or go on
    for name in set(command_names()) - others:
        with pytest.raises(SystemExit):
            main([name, "--help"])
        assert "--json" in capsys.readouterr().out, name


# sergas config


def test_config_shows_keys_as_one_writes_them(capsys: pytest.CaptureFixture[str]) -> None:
    write(
        f"{LOG}{ROUTE}[[maintenance]]\nfrom = '22:00'\nto = '02:00'\ndays = ['sat']\n"
        "[groups]\nttl_rules = [{match = {job = 'x'}, ttl = '1h'}]\n"
    )

    assert main(["config"]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    for expected in (
        "health_check_timeout 10 default",
        "[[routes]]",
        "group_wait 5 sergas.toml",
        "continue false sergas.toml",
        "[[maintenance]]",
        'from "22:00" sergas.toml',
        'days ["sat"] sergas.toml',
        "[[channels]]",
        "[groups]",
        "[[groups.ttl_rules]]",
        "ttl 3600 sergas.toml",
    ):
        assert expected in lines
    assert "[checks]" not in lines


def test_config_says_when_pytest_does_not_read_the_file(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write("slowest = 5\n")
    sub, other = here / "sub", here / "other.toml"
    sub.mkdir()
    other.write_text("slowest = 7\n", encoding="utf-8")
    monkeypatch.chdir(sub)

    assert main(["config"]) == 0
    both = capsys.readouterr().out
    assert main(["--config", str(other), "config"]) == 0
    out = capsys.readouterr().out
    assert "slowest" in both
    assert "Note: a pytest" not in both  # it finds the file above its root directory, as the command does
    reads = f"has the root directory {sub}, and reads {here / 'sergas.toml'}; start it in {here}, or give"
    assert f"Note: a pytest that is started here {reads}" in out


def test_config_changed_shows_what_differs_from_the_defaults_alone(capsys: pytest.CaptureFixture[str]) -> None:
    write("slowest = 5\nwatchdog = 600\n[serve]\nruns_kept = 9\n[types.unit]\ntimeout = 5\n")

    assert main(["config", "--changed"]) == 0
    out = capsys.readouterr().out
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert "slowest 5 sergas.toml" in lines
    assert "runs_kept 9 sergas.toml" in lines
    assert "timeout 5 the type's table in [tool.sergas]" in lines
    for same in ("watchdog", "project", "[collect]", "e2e", "health_check_timeout"):
        assert same not in out
    assert main(["config", "--changed", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert set(document["settings"]) == {"slowest"}
    assert set(document["sections"]) == {"serve"}
    assert set(document["types"]) == {"unit"}


@pytest.mark.parametrize("form", ["", "--json"])
def test_config_never_shows_the_value_of_a_header(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    write(
        "[[checks]]\ntype = 'http'\nurl = 'http://127.0.0.1:9/h?key=zQ9'\n"
        "headers = {X-Api-Key = 'zQ9apikeyzQ9', X-Auth = 'zQ9authzQ9', X-Shop = 'zQ9'}\n"
    )

    assert main(["config", *([form] if form else [])]) == 0
    out = capsys.readouterr().out
    assert "X-Auth" in out
    assert "zQ9" not in out


def test_fault_of_a_header_does_not_show_it(capsys: pytest.CaptureFixture[str]) -> None:
    write("[[checks]]\ntype = 'http'\nurl = 'http://a'\nheaders = {'X Auth' = 'zQ9authzQ9'}\n")

    assert main(["config"]) == 2
    assert "zQ9" not in capsys.readouterr().err
