"""What pytest would find here: its root directory, its ini values, the options that ``addopts`` gives."""

from __future__ import annotations

import pytest

from pytest_sergas.errors import SergasError


class _Stop:
    """Keeps pytest's configuration, and ends pytest before it collects anything."""

    def __init__(self) -> None:
        self.config: pytest.Config | None = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_cmdline_main(self, config: pytest.Config) -> pytest.ExitCode:
        self.config = config
        return pytest.ExitCode.OK


def configured() -> pytest.Config:
    """Return the configuration of a pytest that is started in the current directory without arguments.

    Raises:
        SergasError: pytest cannot start here; it has said why on standard error.
    """
    stop = _Stop()
    status = pytest.main([], plugins=[stop])
    if stop.config is None:
        raise SergasError(f"sergas: pytest cannot start in this directory (status {int(status)}); fix that first")
    return stop.config
