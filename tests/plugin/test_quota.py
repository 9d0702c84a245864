"""``-n auto`` in a container: files as the kernel writes them, below a directory that stands for the root."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_sergas.plugin.quota import quota_workers

pytestmark = pytest.mark.integration


def write(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize(
    ("files", "number"),
    [
        pytest.param({}, None, id="no cgroups"),
        pytest.param({"proc/self/cgroup": "0::/\n"}, None, id="no limit"),
        pytest.param({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "200000 100000\n"}, 2, id="version 2"),
        pytest.param(
            {
                "proc/self/cgroup": "0::/pod/one\n",
                "sys/fs/cgroup/pod/one/cpu.max": "max 100000\n",
                "sys/fs/cgroup/pod/cpu.max": "300000 100000\n",
            },
            3,
            id="a limit of the group above",
        ),
        pytest.param(
            {"proc/self/cgroup": "0::/../other\n", "sys/fs/cgroup/cpu.max": "100000 100000\n"},
            1,
            id="a group outside of what is mounted",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "5:cpu,cpuacct:/docker/1\n",
                "sys/fs/cgroup/cpu,cpuacct/docker/1/cpu.cfs_quota_us": "150000\n",
                "sys/fs/cgroup/cpu,cpuacct/docker/1/cpu.cfs_period_us": "100000\n",
            },
            2,
            id="version 1",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "5:cpu:/docker/1\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "400000\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            4,
            id="version 1, a namespace of its own",
        ),
    ],
)
def test_quota_of_the_kernels_files(tmp_path: Path, files: dict[str, str], number: int | None) -> None:
    for name, text in files.items():
        write(tmp_path, name, text)

    assert quota_workers(tmp_path) == number


AUTO = """
import pytest
from pytest_sergas.plugin import quota

quota.quota_workers = lambda: 1

@pytest.hookimpl(tryfirst=True)
def pytest_xdist_auto_num_workers():
    return 3

def pytest_configure(config):
    if not hasattr(config, "workerinput"):
        print("tx:", len(config.getoption("tx")))
"""


@pytest.mark.parametrize(
    ("environ", "configuration", "number"),
    [
        pytest.param({}, "", 1, id="the quota"),
        pytest.param({"PYTEST_XDIST_AUTO_NUM_WORKERS": "3"}, "", 3, id="counted by hand"),
        pytest.param({"PYTEST_XDIST_AUTO_NUM_WORKERS": "3"}, "max_workers = 2", 2, id="counted by hand, and a limit"),
    ],
)
def test_auto_starts_no_more_workers_than_the_quota_keeps_busy(
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    environ: dict[str, str],
    configuration: str,
    number: int,
) -> None:
    monkeypatch.delenv("PYTEST_XDIST_AUTO_NUM_WORKERS", raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    pytester.makeconftest(AUTO)
    (pytester.path / "sergas.toml").write_text(configuration)
    pytester.makepyfile(test_a="def test_a(): pass")

    result = pytester.runpytest_subprocess("-n", "auto", "-p", "no:cacheprovider", timeout=120)

    assert f"tx: {number}" in result.outlines
