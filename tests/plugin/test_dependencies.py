"""Tests whose dependencies are not there fail in CI and are skipped elsewhere; Redis is a real one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.plugin.conftest import Ran, Run
from tests.servers.redis import PASSWORD, Redis, redis

pytestmark = pytest.mark.integration

REFUSED = "redis://127.0.0.1:{port}/0: Connection refused"


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CI", "GITHUB_ACTIONS", "GITLAB_CI", "JENKINS_URL", "TF_BUILD", "BUILDKITE", "CIRCLECI"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Redis]:
    with redis(tmp_path) as running:
        yield running


def configure(pytester: pytest.Pytester, port: int, types: str = "") -> None:
    Path(pytester.path, "secret").write_text(PASSWORD, encoding="utf-8")
    check = f'[[checks]]\ntype = "redis"\nurl = "redis://127.0.0.1:{port}/0"\npassword_file = "secret"\n'
    Path(pytester.path, "sergas.toml").write_text(check + types, encoding="utf-8")


def found(ran: Ran) -> list[dict[str, object]]:
    assert ran.document is not None
    return list(ran.document["results"]["extra"].get("dependencies", ()))


def up(pytester: pytest.Pytester) -> list[tuple[str, str, str]]:
    """Return dependency, type and value of each sample in the file for node_exporter."""
    metrics = Path(pytester.path, "run.prom").read_text("utf-8")
    return re.findall(
        r'^sergas_dependency_up{dependency="(.+?)",project=".+?",type="(.+?)"} (\S+)$', metrics, re.MULTILINE
    )


SUITE = """
import pytest

@pytest.mark.integration(dependencies=["redis"])
def test_needs(): pass

@pytest.mark.unit
def test_needs_nothing(): pass
"""


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["alone", "workers"])
def test_tests_run_whose_dependency_is_there(
    pytester: pytest.Pytester, run: Run, server: Redis, workers: tuple[str, ...]
) -> None:
    configure(pytester, server.port)
    pytester.makepyfile(SUITE)

    ran = run("--sergas-textfile=run.prom", *workers)

    assert ran.outcomes == {"test_needs": "passed", "test_needs_nothing": "passed"}
    assert "\ndependencies: redis is available\n" in ran.text
    [one] = found(ran)
    assert (one["name"], one["availability"], one["types"]) == ("redis", "available", ["integration"])
    assert up(pytester) == [("redis", "integration", "1.0")]
    assert PASSWORD not in ran.text + json.dumps(ran.document)


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["alone", "workers"])
def test_unavailable_dependency_skips_its_tests_with_the_message_of_the_check(
    pytester: pytest.Pytester, run: Run, server: Redis, workers: tuple[str, ...]
) -> None:
    server.process.kill()
    configure(pytester, server.port)
    path = pytester.makepyfile(SUITE)

    ran = run("-rs", "--sergas-textfile=run.prom", "--sergas-markdown=run.md", *workers)

    assert ran.outcomes == {"test_needs": "skipped", "test_needs_nothing": "passed"}
    why = f"redis is unavailable: {REFUSED.format(port=server.port)}"
    assert f"SKIPPED [1] {path.name}:3: {why}\n" in ran.text
    assert "\ndependency: redis is unavailable: " in ran.text
    assert f"- dependency: `{why}`\n" in Path(pytester.path, "run.md").read_text("utf-8")
    assert [one["message"] for one in found(ran)] == [REFUSED.format(port=server.port)]
    assert up(pytester) == [("redis", "integration", "0.0")]


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["alone", "workers"])
def test_unavailable_dependency_fails_its_tests_in_ci_and_repeats_none(
    pytester: pytest.Pytester, run: Run, server: Redis, monkeypatch: pytest.MonkeyPatch, workers: tuple[str, ...]
) -> None:
    monkeypatch.setenv("CI", "true")
    server.process.kill()
    configure(pytester, server.port, "[types.integration]\nretries = 3\n")
    pytester.makepyfile(SUITE)

    ran = run(*workers)

    assert ran.outcomes == {"test_needs": "error", "test_needs_nothing": "passed"}
    assert ran.tests["test_needs"]["message"] == (
        f"Failed: redis is unavailable: {REFUSED.format(port=server.port)}\n"
        'It fails because this is a CI system; on_unavailable = "skip" in [tool.sergas.types.integration] would skip '
        "it here as well."
    )
    assert "retryAttempts" not in ran.tests["test_needs"]


@pytest.mark.parametrize(("ci", "said", "outcome"), [("true", "skip", "skipped"), ("", "fail", "error")])
def test_on_unavailable_decides(
    pytester: pytest.Pytester,
    run: Run,
    server: Redis,
    monkeypatch: pytest.MonkeyPatch,
    ci: str,
    said: str,
    outcome: str,
) -> None:
    monkeypatch.setenv("CI", ci)
    server.process.kill()
    configure(pytester, server.port, f'[types.integration]\non_unavailable = "{said}"\n')
    pytester.makepyfile(SUITE)

    ran = run()

    assert ran.outcomes["test_needs"] == outcome
    assert ("It fails because of on_unavailable; " in ran.text) is (said == "fail")


@pytest.mark.usefixtures("elsewhere")
def test_check_is_run_once_for_all_tests_and_workers(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makefile(".toml", sergas='[[checks]]\ntype = "python"\nname = "stock"\ncall = "probe:look"\n')
    pytester.makepyfile(
        probe="""
        import os, pathlib
        def look():
            with pathlib.Path("looked").open("a") as file:
                print(os.environ.get("PYTEST_XDIST_WORKER", "controller"), file=file)
        """,
        test_stock="""
        import pytest

        @pytest.mark.integration(dependencies=["stock"])
        @pytest.mark.parametrize("number", range(6))
        def test_stock(number): pass
        """,
    )

    assert set(run("-n2").outcomes.values()) == {"passed"}
    assert Path(pytester.path, "looked").read_text("utf-8") == "controller\n"


@pytest.mark.usefixtures("elsewhere")
def test_run_waits_for_a_service_that_is_still_starting(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makefile(
        ".toml",
        sergas='[[checks]]\ntype = "python"\nname = "stock"\ncall = "probe:look"\n[types.integration]\nwait_s = 60\n',
    )
    pytester.makepyfile(
        probe="""
        import pathlib
        def look():
            file = pathlib.Path("looked")
            seen = file.read_text() if file.exists() else ""
            file.write_text(seen + "x")
            return len(seen) >= 3
        """,
        test_stock="""
        import pytest

        @pytest.mark.integration(dependencies="stock")
        def test_stock(): pass
        """,
    )

    ran = run()

    assert ran.outcomes == {"test_stock": "passed"}
    assert Path(pytester.path, "looked").read_text("utf-8") == "xxxx"
    assert "sergas: waiting for stock (at most 60 s)\n" in ran.text
    [one] = found(ran)
    assert float(str(one["waitedSeconds"])) > 0


@pytest.mark.usefixtures("elsewhere")
def test_nobody_waits_longer_than_the_type_says(pytester: pytest.Pytester, run: Run, server: Redis) -> None:
    server.process.kill()
    configure(pytester, server.port, "[types.integration]\nwait_s = 0.5\n")
    pytester.makepyfile(SUITE)

    ran = run()

    assert ran.outcomes["test_needs"] == "skipped"
    assert "redis is unavailable after " in ran.text


DYING = """
import os, signal
import pytest

pytestmark = pytest.mark.integration(dependencies=["redis"])

def test_a_good_one(): pass

def test_b_dies():
    os.kill({pid}, signal.SIGKILL)
    raise ConnectionError("it is gone")

@pytest.mark.unit(dependencies=[])
def test_c_needs_nothing(): pass

@pytest.mark.parametrize("number", range(3))
def test_d_later(number): raise ConnectionError("nobody asked first")
"""


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("workers", [(), ("-n1",)], ids=["alone", "worker"])
def test_service_that_dies_halfway_is_refused_to_the_tests_that_come_later(
    pytester: pytest.Pytester, run: Run, server: Redis, workers: tuple[str, ...]
) -> None:
    configure(pytester, server.port)
    pytester.makepyfile(DYING.format(pid=server.process.pid))

    ran = run(*workers)

    last = ran.tests["test_d_later[2]"]
    assert ran.outcomes["test_a_good_one"] == ran.outcomes["test_c_needs_nothing"] == "passed"
    assert ran.outcomes["test_b_dies"] == "failed"
    assert (last["rawStatus"], last["message"].partition("redis became ")[2].partition(":")[0]) == (
        "skipped",
        "unavailable during the run",
    )
    assert [one["availability"] for one in found(ran)] == ["lost"]


@pytest.mark.usefixtures("elsewhere")
def test_failure_of_a_test_whose_service_is_well_changes_nothing(
    pytester: pytest.Pytester, run: Run, server: Redis
) -> None:
    configure(pytester, server.port)
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.integration(dependencies=["redis"])
        @pytest.mark.parametrize("number", [0, 1])
        def test_needs(number): assert number
        """
    )

    ran = run()

    assert ran.outcomes == {"test_needs[0]": "failed", "test_needs[1]": "passed"}
    assert [one["availability"] for one in found(ran)] == ["available"]


@pytest.mark.usefixtures("elsewhere")
def test_checks_after_failures_rest_ten_times_as_long_as_they_took(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makefile(".toml", sergas='[[checks]]\ntype = "python"\nname = "stock"\ncall = "probe:look"\n')
    pytester.makepyfile(
        probe="""
        import pathlib, time
        def look():
            with pathlib.Path("looked").open("a") as file:
                file.write("x")
            time.sleep(0.5)
        """,
        test_stock="""
        import pytest

        @pytest.mark.integration(dependencies="stock")
        @pytest.mark.parametrize("number", range(6))
        def test_stock(number): assert number < 0
        """,
    )

    assert set(run().outcomes.values()) == {"failed"}
    assert Path(pytester.path, "looked").read_text("utf-8") == "xx"  # before the first test, and after it


@pytest.mark.parametrize("workers", [(), ("-n1",)], ids=["alone", "worker"])
@pytest.mark.usefixtures("elsewhere")
def test_dependency_without_a_check_fails_its_tests_with_the_lines_to_add_and_the_others_run(
    pytester: pytest.Pytester, run: Run, workers: tuple[str, ...]
) -> None:
    # A missing check is a mistake, also where what is unavailable is skipped.
    Path(pytester.path, "sergas.toml").write_text('[types.integration]\non_unavailable = "skip"\n', encoding="utf-8")
    pytester.makepyfile(SUITE.replace('"redis"', '"shop-database"'))

    ran = run(*workers)

    assert ran.result.ret == pytest.ExitCode.TESTS_FAILED
    assert ran.outcomes == {"test_needs": "error", "test_needs_nothing": "passed"}
    assert (
        "dependencies = 'shop-database': there is no check of that name; there are no [[checks]] in the configuration\n"
        "Add a check to sergas.toml, such as:\n"
        "\n"
        "    [[checks]]\n"
        '    type = "postgresql"\n'
        '    name = "shop-database"\n'
        '    url = "postgresql://shop@127.0.0.1:5432/shop"\n'
    ) in ran.text
    assert [one["availability"] for one in found(ran)] == ["missing"]


@pytest.mark.parametrize("workers", [(), ("-n1",)], ids=["alone", "worker"])
def test_misspelt_dependency_names_the_nearest_check(
    pytester: pytest.Pytester, run: Run, workers: tuple[str, ...]
) -> None:
    configure(pytester, 1)
    pytester.makepyfile(SUITE.replace('"redis"', '"rediss"'))

    ran = run(*workers)

    assert ran.outcomes == {"test_needs": "error", "test_needs_nothing": "passed"}
    assert "dependencies = 'rediss': there is no check of that name; did you mean 'redis'?" in ran.text


@pytest.mark.parametrize("workers", [(), ("-n1",)], ids=["alone", "worker"])
def test_check_that_cannot_be_made_ends_the_run_before_it_begins(
    pytester: pytest.Pytester, run: Run, workers: tuple[str, ...]
) -> None:
    pytester.makefile(".toml", sergas='[[checks]]\ntype = "redis"\n')
    pytester.makepyfile(SUITE)

    ran = run(*workers)

    assert ran.result.ret == pytest.ExitCode.USAGE_ERROR
    assert "checks.redis: url is missing" in ran.text + ran.result.stderr.str()


@pytest.mark.usefixtures("elsewhere")
def test_collecting_alone_runs_no_check(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makefile(".toml", sergas='[[checks]]\ntype = "python"\nname = "redis"\ncall = "nowhere:look"\n')
    pytester.makepyfile(SUITE)

    assert run("--collect-only", record=False).result.ret == pytest.ExitCode.OK
