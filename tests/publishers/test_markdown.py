"""The Markdown document, read back with a parser of CommonMark."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from pytest_sergas.core.causes import Frame, cause_of
from pytest_sergas.core.records import Environment, Outcome, Refusal, RunRecord
from pytest_sergas.errors import ConfigurationError, PublishError
from pytest_sergas.publishers.markdown import Markdown, code, create, fence, render
from tests.publishers.conftest import Run, attempt, context_for, forever_s, record, run_of

pytestmark = pytest.mark.unit

HOSTILE = [
    pytest.param("```\n# heading\n```", id="fence"),
    pytest.param("~~~\n`````\n</details><h1>x</h1>", id="longer fence and HTML"),
    pytest.param("<script>alert(1)</script>", id="script"),
    pytest.param("| a | b |\n|--|--|", id="table"),
    pytest.param("[x](javascript:alert(1)) ![y](z) @team #1", id="links and mentions"),
    pytest.param("`", id="one backtick"),
    pytest.param("\x1b[31mred\x1b[0m\x00\x07", id="control sequences"),
    pytest.param("a\r\n\r\n</summary></details>\r\n", id="empty lines"),
]


def tokens(document: str) -> Iterator[Token]:
    """Return all tokens of a document, those within paragraphs too."""
    for token in MarkdownIt("commonmark").enable("table").parse(document):
        yield token
        yield from token.children or ()


def content(document: str, kind: str) -> list[str]:
    return [token.content for token in tokens(document) if token.type == kind]


def rendered(*tests: object, slowest: int = 3, **fields: object) -> str:
    return render(run_of(*tests, **fields), slowest=slowest)  # type: ignore[arg-type]  # by hand


def test_reason_for_which_a_run_fails_stands_first() -> None:
    document = rendered(record("a", Outcome.TIMEOUT), refused=(Refusal("unit", "unit: too `flaky`"),))

    assert "- the run fails: `` unit: too `flaky` ``\n- failed: 1 timeout\n" in document


def test_document_of_a_run() -> None:
    document = rendered(
        record("tests/test_a.py::test_fine"),
        record("tests/test_a.py::test_bad", attempt(Outcome.FAILED, message="assert 1 == 2")),
        record("tests/test_a.py::test_shaky", attempt(Outcome.ERROR, message="reset"), attempt(), type="e2e"),
        slowest=1,
        workers=2,
        environment=Environment(
            branch="main", commit="a" * 40, pull_request="12", build_url="https://ci.example.org/1"
        ),
    )

    assert document == (
        "## 1 of 3 tests failed, 1 flaky\n"
        "\n"
        "`shop` · 60.0 s · 2 workers · branch `main` · commit `aaaaaaaaaaaa` · pull request `12`"
        " · [build](<https://ci.example.org/1>)\n"
        "\n"
        "| type | tests | passed | failed | flaky | skipped | retries | success | slowest | wall |\n"
        "| :-- | --: | --: | --: | --: | --: | --: | --: | --: | --: |\n"
        "| unit | 2 | 1 | 1 | 0 | 0 | 0 | 50.0% | 500 ms | 500 ms |\n"
        "| e2e | 1 | 0 | 0 | 1 | 0 | 1 | 100% | 500 ms | 500 ms |\n"
        "| all | 3 | 1 | 1 | 1 | 0 | 1 | 66.7% | 500 ms | 500 ms |\n"
        "\n"
        "### Failed\n"
        "\n"
        "<details><summary><code>tests/test_a.py::test_bad</code> unit failed</summary>\n"
        "\n"
        "`tests/test_a.py:7`\n"
        "\n"
        "```text\n"
        "assert 1 == 2\n"
        "```\n"
        "\n"
        "</details>\n"
        "\n"
        "### Flaky\n"
        "\n"
        "- `tests/test_a.py::test_shaky` passed at attempt 2, after `reset`\n"
        "\n"
        "### Slowest\n"
        "\n"
        "- 500 ms `tests/test_a.py::test_fine`\n"
    )


@pytest.mark.parametrize(
    ("run", "heading"),
    [
        pytest.param(run_of(), "## no tests were run", id="empty"),
        pytest.param(run_of(record("a")), "## 1 test, none failed", id="one"),
        pytest.param(run_of(record("a"), record("b")), "## 2 tests, none failed", id="all fine"),
        pytest.param(
            run_of(record("a"), refused=(Refusal("unit", "x"),)), "## 1 test, and the run fails", id="refused"
        ),
        pytest.param(run_of(record("a"), stopped="Ctrl-C"), "## stopped after 1 test", id="stopped"),
        pytest.param(
            run_of(record("a", Outcome.FAILED, Outcome.PASSED)), "## 1 test, none failed, 1 flaky", id="flaky"
        ),
    ],
)
def test_heading_says_how_it_went(run: RunRecord, heading: str) -> None:
    assert render(run, slowest=3).splitlines()[0] == heading


def test_what_has_to_be_known_before_believing_the_table_is_said() -> None:
    document = rendered(record("a", Outcome.TIMEOUT), stopped="stopping", unfinished=("t::b",), notes=("partly",))

    assert "- failed: 1 timeout\n- stopped: `stopping`\n- not finished: `t::b`\n- `partly`\n" in document


@pytest.mark.parametrize("text", HOSTILE)
def test_message_is_one_fenced_block_and_nothing_else(text: str) -> None:
    document = rendered(record("t", attempt(Outcome.FAILED, message=f"before\n{text}\nafter")), slowest=0)

    (shown,) = content(document, "fence")
    assert shown.startswith("before\n")
    assert shown.endswith("\nafter\n")
    assert len([token for token in tokens(document) if token.type == "heading_open"]) == 2
    assert content(document, "html_block") == [
        "<details><summary><code>t</code> unit failed</summary>\n",
        "</details>\n",
    ]
    assert "\x1b" not in document


@pytest.mark.parametrize("text", HOSTILE)
def test_names_and_reasons_are_code_and_nothing_else(text: str) -> None:
    name = f"tests/test_a.py::test[{text}]"
    shaky = record(name, attempt(Outcome.FAILED, message=text), attempt())

    document = rendered(shaky, stopped=text, notes=(text,), unfinished=(name,), environment=Environment(branch=text))

    found = list(tokens(document))
    assert not [token for token in found if token.type.startswith(("html", "link", "image", "em", "strong"))]
    assert len([token for token in found if token.type == "table_open"]) == 1
    assert [token.content for token in found if token.type == "fence"] == []


@pytest.mark.parametrize("text", HOSTILE)
def test_name_of_a_failed_test_adds_no_html(text: str) -> None:
    document = rendered(record(f"t[{text}]", attempt(Outcome.FAILED, message="m")))

    blocks = content(document, "html_block")
    assert len(blocks) == 2
    assert blocks[0].count("<") == 5  # details, summary, code and the ends of two of them
    assert content(document, "fence") == ["m\n"]


@given(st.text(st.characters(), min_size=1))
def test_code_span_is_one_token_with_all_of_its_text(text: str) -> None:
    span = code(text)

    inline = [token for token in tokens(f"x {span} y") if token.type == "code_inline"]
    assert len(inline) == (1 if span else 0)
    if "`" not in span[1:-1] and span:
        assert inline[0].content == span[1:-1]


@given(st.text(st.characters()))
def test_fence_is_one_token_that_ends_where_it_should(text: str) -> None:
    found = [token.type for token in tokens(f"{fence(text)}\n# after\n")]

    assert found == ["fence", "heading_open", "inline", "text", "heading_close"]


@pytest.mark.parametrize("url", ["javascript:alert(1)", "x> [y](z)", ""])
def test_address_that_is_none_is_no_link(url: str) -> None:
    document = rendered(record("a"), environment=Environment(build_url=url))

    assert [token for token in tokens(document) if token.type == "link_open"] == []


def test_address_cannot_leave_its_link() -> None:
    document = rendered(record("a"), environment=Environment(build_url="https://ci/1> <b>x</b> \\"))

    (link,) = [token for token in tokens(document) if token.type == "link_open"]
    assert link.attrs["href"] == "https://ci/1%3E%20%3Cb%3Ex%3C/b%3E%20%5C"
    assert content(document, "html_inline") == []


@pytest.mark.parametrize("limit_bytes", [4_000, 20_000, 1024 * 1024])
def test_document_is_no_longer_than_its_limit(limit_bytes: int) -> None:
    name = "🙂" * 400
    tests = [record(f"{name}{index}", attempt(Outcome.FAILED, message="é" * 2_000)) for index in range(100)]
    shaky = [record(f"s{name}{index}", attempt(Outcome.FAILED, message=name), attempt()) for index in range(100)]

    document = render(run_of(*tests, *shaky), slowest=100, limit_bytes=limit_bytes)

    assert len(document.encode()) <= limit_bytes
    assert "| unit | 200 |" in document
    assert "more failed; the log has them all" in document


def test_failures_beyond_the_limit_are_counted() -> None:
    document = rendered(*(record(f"t{index}", attempt(Outcome.FAILED, message="m")) for index in range(60)))

    assert document.count("<details>") == 50
    assert "and 10 more failed; the log has them all" in document


def test_without_a_file_there_is_no_publisher(tmp_path: Path) -> None:
    assert create(context_for(tmp_path)) is None


def test_file_is_relative_to_the_root(tmp_path: Path) -> None:
    assert create(context_for(tmp_path, markdown="build/run.md")) == Markdown(tmp_path / "build" / "run.md", 3)


def test_file_that_cannot_be_written_is_a_fault_before_the_run(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(ConfigurationError) as raised:
        create(context_for(tmp_path, markdown="file/run.md"))

    path = tmp_path / "file" / "run.md"
    assert raised.value.faults == (
        f"markdown = {str(path)!r}: cannot be created: {tmp_path / 'file'} is not a directory",
    )


def test_file_holds_the_document_and_the_publication_says_where(tmp_path: Path) -> None:
    path = tmp_path / "run.md"
    run = run_of(record("tests/test_é.py::test_a"))

    publication = Markdown(path, 3).publish(run, forever_s)

    assert path.read_text("utf-8") == render(run, slowest=3)
    assert publication.place == str(path)


def test_directory_that_went_away_is_said(tmp_path: Path) -> None:
    (tmp_path / "gone").touch()
    path = tmp_path / "gone" / "run.md"

    with pytest.raises(PublishError, match=r"run\.md cannot be written: File exists"):
        Markdown(path, 3).publish(run_of(), forever_s)


@pytest.mark.integration
def test_option_names_the_file(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile("import pytest\n@pytest.mark.unit\ndef test_bad(): assert 0, '```'")

    ran = run("--sergas-markdown", "out/run.md")

    document = Path(pytester.path, "out", "run.md").read_text("utf-8")
    assert document.startswith("## 1 of 1 test failed\n")
    assert "markdown: out/run.md" in ran.text


def test_coverage_stands_in_what_is_said_about_the_run() -> None:
    assert " · coverage 90.0% (unit 60.0%)" in rendered(record("a"), coverage={"all": 90.0, "unit": 60.0})


def test_failures_of_one_cause_are_one_block_with_the_names_of_its_tests() -> None:
    cause = cause_of("setup", "ConnectionError: no route", Frame("tests/conftest.py", 5, "<db>"))
    broken = attempt(Outcome.ERROR, message="ConnectionError: no route", cause=cause)
    tests = [record(f"a.py::t{number}", broken) for number in range(12)]

    text = render(run_of(*tests, record("a.py::alone", attempt(Outcome.FAILED, message="other"))), slowest=0)

    assert text.count("<details>") == 2
    assert "<summary>12 tests, setup: ConnectionError at tests/conftest.py:5 in &lt;db&gt;</summary>" in text
    assert text.count("ConnectionError: no route\n") == 1
    assert "- `a.py::t9` unit error\n- and 2 more\n" in text
    assert "<summary><code>a.py::alone</code> unit failed</summary>" in text
