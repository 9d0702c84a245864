"""The file for node_exporter: whole, readable, in the right format, and with what earlier runs left."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_sergas.core.metrics import LAST_SUCCESS
from pytest_sergas.core.records import Outcome, RunRecord
from pytest_sergas.errors import ConfigurationError, PublishError
from pytest_sergas.publishers import Publication
from pytest_sergas.publishers.textfile import Textfile, create
from tests.publishers.conftest import context_for, forever_s, record, run_of
from tests.servers.prometheus import lint

pytestmark = pytest.mark.integration

SUCCESS = run_of(record(), finished_s=100.0)
FAILURE = run_of(record("a.py::a", Outcome.FAILED), finished_s=200.0, exit_status=1)


def publisher(root: Path, name: str = "sergas.prom") -> Textfile:
    made = create(context_for(root, textfile=name))
    assert made is not None
    return made


def written(root: Path, *runs: RunRecord) -> dict[str, float]:
    """Return series → value after ``runs``, one after the other."""
    for run in runs:
        publisher(root).publish(run, forever_s)
    lines = (root / "sergas.prom").read_text("utf-8").splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}


def test_nothing_to_do_without_a_name(tmp_path: Path) -> None:
    assert create(context_for(tmp_path)) is None


def test_series_carry_project_and_type_and_no_job(tmp_path: Path) -> None:
    series = written(tmp_path, SUCCESS)

    assert series['sergas_tests{outcome="passed",project="shop",type="unit"}'] == 1
    assert series['sergas_tests{outcome="failed",project="shop",type="unit"}'] == 0
    assert all('project="shop",' in name and "job=" not in name for name in series)


def test_place_is_the_file(tmp_path: Path) -> None:
    assert publisher(tmp_path).publish(SUCCESS, forever_s) == Publication(place=str(tmp_path / "sergas.prom"))


def test_failure_keeps_the_time_of_the_last_success(tmp_path: Path) -> None:
    series = written(tmp_path, SUCCESS, FAILURE, FAILURE)

    assert series[f'{LAST_SUCCESS}{{project="shop",type="unit"}}'] == 100
    assert series['sergas_last_run_timestamp_seconds{project="shop",type="unit"}'] == 200


def test_success_replaces_the_time_of_the_last_one(tmp_path: Path) -> None:
    later = run_of(record(), finished_s=300.0)

    assert written(tmp_path, SUCCESS, later)[f'{LAST_SUCCESS}{{project="shop",type="unit"}}'] == 300


def test_types_that_did_not_run_stay_as_they_were(tmp_path: Path) -> None:
    nightly = written(tmp_path, run_of(record("a.py::a", type="e2e"), finished_s=50.0))

    series = written(tmp_path, SUCCESS)

    assert {name: value for name, value in series.items() if 'type="e2e"' in name} == nightly


def test_what_another_project_left_is_not_kept(tmp_path: Path) -> None:
    series = written(tmp_path, run_of(record("a.py::a", type="e2e"), project="other"), SUCCESS)

    assert not [name for name in series if 'project="other"' in name]


def test_run_without_tests_leaves_the_file_alone(tmp_path: Path) -> None:
    before = written(tmp_path, SUCCESS)

    assert publisher(tmp_path).publish(run_of(), forever_s) == Publication()
    assert written(tmp_path) == before


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe", b"# HELP", b"not metrics at all", b"sergas_tests{", b'm{type="unit"} 1\n', b"x" * 100]
)
def test_file_that_is_not_ours_is_replaced(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "sergas.prom").write_bytes(content)

    assert 'sergas_tests{outcome="passed",project="shop",type="unit"}' in written(tmp_path, SUCCESS)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(
    st.text(st.sampled_from('sergas_tests{}",=\\# \n1type'))
    | st.binary(max_size=40).map(lambda raw: raw.decode("latin-1"))
)
def test_no_content_keeps_a_run_from_being_written(tmp_path: Path, content: str) -> None:
    (tmp_path / "sergas.prom").write_text(content, encoding="utf-8")

    assert 'sergas_tests{outcome="passed",project="shop",type="unit"}' in written(tmp_path, SUCCESS)


@pytest.mark.skipif(os.name != "posix", reason="permissions are those of POSIX")
def test_another_user_may_read_it_whatever_the_umask_says(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        written(tmp_path, SUCCESS)
    finally:
        os.umask(before)

    assert stat.S_IMODE((tmp_path / "sergas.prom").stat().st_mode) == 0o644


def test_awkward_names_survive_being_read_back(tmp_path: Path) -> None:
    awkward = run_of(record('a.py::test["a\\b\nc🎉\udcff]', type="smoke"), project='my "shop"\\')
    once = written(tmp_path, awkward)

    assert written(tmp_path, awkward) == once
    assert written(tmp_path, run_of(record(), project='my "shop"\\')).items() >= once.items()


def test_promtool_has_no_complaint(tmp_path: Path) -> None:
    tests = [record(f"a.py::test_{outcome}", outcome) for outcome in Outcome if outcome is not Outcome.FLAKY]
    written(tmp_path, run_of(record("b.py::b", type="e2e")), run_of(*tests, exit_status=1))

    assert lint((tmp_path / "sergas.prom").read_text("utf-8")) == ""


def test_file_that_cannot_be_read_is_not_replaced(tmp_path: Path) -> None:
    made = publisher(tmp_path)
    made.path.mkdir()

    with pytest.raises(PublishError) as raised:
        made.publish(SUCCESS, forever_s)

    assert str(raised.value) == f"{made.path} cannot be read, and has what is to be kept: Is a directory"


def test_place_that_cannot_work_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(ConfigurationError) as raised:
        create(context_for(tmp_path, textfile="file/sergas.prom"))

    assert raised.value.faults == (
        f"textfile = 'file/sergas.prom': cannot be created: {tmp_path / 'file'} is not a directory",
    )
