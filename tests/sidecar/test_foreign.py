"""The sidecar with another uvicorn: one that has changed costs the limits of connections, and no service."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from uvicorn.protocols.http import httptools_impl

from pytest_sergas.sidecar.foreign import connection_fault
from tests.servers.process import get
from tests.servers.sidecar import sidecar

pytestmark = pytest.mark.integration

# Read by every process of Python that finds it on its path: uvicorn is another one before the sidecar loads it.
_ANOTHER_UVICORN = """
from uvicorn.protocols.http import httptools_impl

theirs = httptools_impl.HttpToolsProtocol.__init__
httptools_impl.HttpToolsProtocol.__init__ = lambda self, **keywords: theirs(self, **keywords)
"""


def test_uvicorn_that_has_changed_costs_the_limits_of_connections(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(_ANOTHER_UVICORN, encoding="utf-8")

    with sidecar(tmp_path, environ={"PYTHONPATH": str(tmp_path)}) as running:
        assert get(f"{running.url}/-/ready") == "OK"
        running.send(signal.SIGTERM)

        assert running.wait() == 0
    (line,) = [line for line in running.printed.splitlines() if "uvicorn" in line]
    assert line.endswith(
        " is not as expected: HttpToolsProtocol.loop is missing; slow clients have no deadlines, "
        "and neither connections nor heads of requests are limited"
    )


def test_uvicorn_that_is_installed_is_as_expected() -> None:
    assert connection_fault() == ""


@pytest.mark.parametrize(
    ("owner", "name", "fault"),
    [
        pytest.param(
            httptools_impl, "RequestResponseCycle", "RequestResponseCycle is missing", id="the response's class"
        ),
        pytest.param(httptools_impl, "HttpToolsProtocol", "HttpToolsProtocol is missing", id="the connection's class"),
        pytest.param(
            httptools_impl.HttpToolsProtocol,
            "on_response_complete",
            "HttpToolsProtocol.on_response_complete is missing",
            id="a method",
        ),
        pytest.param(
            httptools_impl.RequestResponseCycle,
            "__init__",
            "RequestResponseCycle.disconnected is missing",
            id="an attribute",
        ),
    ],
)
def test_every_name_is_looked_at(owner: object, name: str, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(owner, name)

    assert connection_fault() == fault
