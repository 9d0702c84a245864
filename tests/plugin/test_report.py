"""What a run leaves on the terminal: summary, places, what was not sent; and what remains when it is quiet."""

from __future__ import annotations

import pytest

from tests.plugin.conftest import Run

pytestmark = pytest.mark.integration

FINE = """
    import pytest

    @pytest.mark.unit
    def test_fine(): pass
"""
SHAKY = """
    import pytest

    tries = []

    @pytest.mark.unit(retries=1)
    def test_shaky():
        tries.append(1)
        assert len(tries) == 2, "once"
"""
UNTYPED = "def test_plain(): pass"

BROKEN = """
    class Broken:
        name = "broken"
        writes = ()

        def publish(self, run, remaining_s):
            raise ValueError("no such place")

    def create(context):
        return Broken()
"""


@pytest.fixture
def broken_publisher(pytester: pytest.Pytester) -> None:
    """Install a publisher of somebody else, which cannot deliver, where Python looks first."""
    pytester.makepyfile(broken=BROKEN)
    information = pytester.mkdir("broken-1.0.dist-info")
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n", encoding="ascii")
    (information / "entry_points.txt").write_text(
        "[pytest_sergas.publishers]\nbroken = broken:create\n", encoding="ascii"
    )


def test_summary_is_followed_by_where_the_run_is(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(FINE)

    run("--sergas-markdown", "out/run.md").result.stdout.fnmatch_lines(
        ["=* tests by type =*", "type *", "unit *", "ctrf: run.ctrf.json", "markdown: out/run.md"]
    )


def test_place_outside_the_directory_keeps_its_whole_path(
    pytester: pytest.Pytester, run: Run, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("elsewhere") / "run.md"
    pytester.makepyfile(FINE)

    assert f"markdown: {path}" in run("--sergas-markdown", str(path)).text


def test_suite_without_types_and_options_says_nothing(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(UNTYPED)

    text = run(record=False).text.partition("collected 1 item")[2]

    assert "sergas" not in text
    assert "tests by type" not in text


def test_suite_without_types_still_says_where_the_run_is(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(UNTYPED)

    run().result.stdout.fnmatch_lines(["-* sergas -*", "ctrf: run.ctrf.json"])


@pytest.mark.parametrize("quiet", ["-q", "-qq"])
def test_quiet_run_in_which_nothing_went_wrong_says_nothing(pytester: pytest.Pytester, run: Run, quiet: str) -> None:
    pytester.makepyfile(FINE)

    text = run(quiet).text

    assert "tests by type" not in text
    assert "ctrf" not in text


def test_quiet_run_names_its_flaky_tests(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(test_a=SHAKY)

    text = run("-q").text

    assert "flaky: test_a.py::test_shaky passed at attempt 2\n       failed at first: AssertionError: once" in text
    assert "tests by type" not in text


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ((), "not sent: broken: ValueError: no such place"),
        (("-q",), "sergas: not sent: broken: ValueError: no such place"),
    ],
    ids=["normal", "quiet"],
)
@pytest.mark.usefixtures("broken_publisher")
def test_what_was_not_sent_is_one_line(
    pytester: pytest.Pytester, run: Run, arguments: tuple[str, ...], line: str
) -> None:
    pytester.makepyfile(FINE)

    ran = run(*arguments)

    assert line in ran.result.outlines
    assert ran.result.ret == pytest.ExitCode.OK


@pytest.mark.usefixtures("broken_publisher")
def test_without_a_terminal_what_was_not_sent_goes_to_standard_error(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(FINE)

    ran = run("-p", "no:terminal")

    assert ran.result.errlines == ["sergas: not sent: broken: ValueError: no such place"]
    assert ran.result.outlines == []
