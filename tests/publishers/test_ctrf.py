"""The CTRF file: what is written validates against the published schema, whatever the tests were called."""

from __future__ import annotations

import json
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_sergas.core.records import MESSAGE_LIMIT, NAME_LIMIT, TRACE_LIMIT, Environment, Outcome, RunRecord
from pytest_sergas.errors import ConfigurationError, PublishError
from pytest_sergas.publishers import Publication
from pytest_sergas.publishers.ctrf import Ctrf, create
from tests.publishers.conftest import Run, attempt, context_for, forever_s, record, run_of
from tests.servers.ctrf import Validator, validator

pytestmark = pytest.mark.integration


@pytest.fixture(scope="session")
def schema() -> Validator:
    return validator()


def written(root: Path, run: RunRecord) -> bytes:
    made = create(context_for(root, ctrf="build/run.ctrf.json"))
    assert made is not None
    assert made.publish(run, forever_s) == Publication(place=str(root / "build" / "run.ctrf.json"))
    return made.writes[0].read_bytes()


def test_nothing_to_do_without_a_name(tmp_path: Path) -> None:
    assert create(context_for(tmp_path)) is None


def test_validator_finds_what_is_wrong(schema: Validator) -> None:
    assert schema.faults(b'{"reportFormat":"CTRF","specVersion":"0.0.0","results":{}}') == [
        "/results: must have required property 'tool'",
        "/results: must have required property 'summary'",
        "/results: must have required property 'tests'",
    ]


def test_all_outcomes_and_retries_validate(schema: Validator, tmp_path: Path) -> None:
    outcomes = [outcome for outcome in Outcome if outcome is not Outcome.FLAKY]
    run = run_of(
        *(
            record(f"a.py::test_{outcome}", attempt(outcome, message="m", trace="t", worker="gw0"))
            for outcome in outcomes
        ),
        *(record(f"a.py::test_{outcome}_then_passed", outcome, Outcome.PASSED) for outcome in outcomes),
        record("a.py::test_lost", attempt(Outcome.CRASHED, start_s=0.0, setup_s=None, call_s=None, teardown_s=None)),
        record("", attempt(Outcome.ERROR, start_s=0.0, setup_s=None, call_s=None, teardown_s=None), line=None),
        exit_status=1,
        stopped="stopping after 1 failures",
        unfinished=("a.py::test_b",),
        notes=("a note",),
        workers=2,
        version="1.2.3",
        environment=Environment("gitlab", "main", "abc", "test", "7", "http://ci/7", "12", "shop", "3.11", "linux"),
    )

    assert schema.faults(written(tmp_path, run)) == []


def test_run_without_tests_validates(schema: Validator, tmp_path: Path) -> None:
    assert schema.faults(written(tmp_path, run_of())) == []


def test_what_pytest_itself_reports_validates(schema: Validator, pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        test_it="""
        import pytest
        pytestmark = pytest.mark.unit
        seen = []

        def test_passes(): pass
        def test_fails(): assert 0
        @pytest.mark.unit(retries=2)
        def test_flaky(): seen.append(1); assert len(seen) > 1
        @pytest.mark.skip(reason="later")
        def test_skipped(): pass
        @pytest.mark.xfail(strict=False)
        def test_expected(): assert 0
        @pytest.fixture
        def broken(): raise OSError("no \\ud800 disk")
        def test_error(broken): pass
        @pytest.mark.parametrize("text", ['"', "a\\nb", "\\\\", "\\U0001f389", b"\\xff", "x" * 100_000])
        def test_awkward(text): raise ValueError("é\\udcff" * 50_000)
        """,
        test_broken="import nothing_of_this_name",
    )

    # What the terminal would be shown is not UTF-8, which the one who reads it back here could not take.
    run("--continue-on-collection-errors", "--tb=no", "-rN")

    document = Path(pytester.path, "run.ctrf.json").read_bytes()
    assert schema.faults(document) == []
    tests = json.loads(document)["results"]["tests"]
    assert len(tests) == 13
    assert all(len(test["name"]) <= NAME_LIMIT for test in tests)
    assert all(len(test.get("message", "")) <= MESSAGE_LIMIT for test in tests)
    assert all(len(test.get("trace", "")) <= TRACE_LIMIT for test in tests)


def test_texts_that_are_not_utf_8_validate(schema: Validator, tmp_path: Path) -> None:
    broken = "caf\udcc3 \ud800"
    run = run_of(
        record(f"a.py::{broken}"),
        project=broken,
        notes=(broken,),
        environment=Environment(branch=broken),
        stopped=broken,
    )

    document = written(tmp_path, run)

    assert schema.faults(document) == []
    assert json.loads(document.decode())["results"]["environment"]["branchName"] == "caf\\udcc3 \\ud800"


def test_document_is_compact(tmp_path: Path) -> None:
    exact = attempt(setup_s=0.123456, call_s=1.234567, teardown_s=12.345678)  # all the digits that are written
    document = written(tmp_path, run_of(record("a.py::test_a", exact)))

    assert document == json.dumps(json.loads(document), separators=(",", ":")).encode()


@pytest.fixture
def no_room() -> Iterator[None]:
    """No file may grow beyond 100 bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("no_room")
def test_file_that_cannot_be_written_whole_leaves_the_earlier_one(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_bytes(b"earlier")

    with pytest.raises(PublishError) as raised:
        Ctrf((path,)).publish(run_of(record()), forever_s)

    assert str(raised.value) == f"{path} cannot be written: File too large"
    assert path.read_bytes() == b"earlier"
    assert list(tmp_path.iterdir()) == [path]


def test_place_that_cannot_be_written_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(ConfigurationError) as raised:
        create(context_for(tmp_path, ctrf="file/run.json"))

    assert raised.value.faults == (
        f"ctrf = 'file/run.json': cannot be created: {tmp_path / 'file'} is not a directory",
    )
