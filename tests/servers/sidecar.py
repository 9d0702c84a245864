"""The sidecar, as its users start it: ``sergas serve`` as a process of its own, on a free port."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers.process import until

# The machine may be busy with other tests: starting is waited for, not timed.
_PATIENCE_S = 60.0
_LISTENING = re.compile(r"^listening on (\S+)$", re.MULTILINE)


@dataclass(slots=True)
class Sidecar:
    """A running sidecar.

    Attributes:
        url: without a slash at the end.
        log: file with what it prints on standard output and standard error.
    """

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def printed(self) -> str:
        return self.log.read_text("utf-8")

    @property
    def peak_kib(self) -> int:
        """The most memory that it has held."""
        status = Path(f"/proc/{self.process.pid}/status").read_text("ascii")
        found = re.search(r"VmHWM:\s*(\d+) kB", status)
        assert found is not None, status
        return int(found[1])

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self) -> int:
        """Wait until it has ended by itself; return its exit status."""
        return self.process.wait(_PATIENCE_S)

    def waits_for(self, text: str) -> None:
        """Wait until it has printed ``text``."""
        until(lambda: text in self.printed, f"the sidecar prints {text!r}", self.log, deadline_s=_PATIENCE_S)


@contextmanager
def sidecar(
    directory: Path, *options: str, config: str = "", environ: Mapping[str, str] | None = None, name: str = "sidecar"
) -> Iterator[Sidecar]:
    """Run ``sergas serve --listen 127.0.0.1:0`` in ``directory`` and yield it once it is ready.

    Args:
        directory: where its store, its log and its configuration are.
        options: further arguments; a later ``--listen`` wins.
        config: what stands in its ``sergas.toml``; "" leaves the file that is there.
        environ: variables beside those of this process.
        name: of its log file, where several run in one directory.

    Raises:
        AssertionError: it ended, or was not ready in time; the text has what it printed.
    """
    if config:
        (directory / "sergas.toml").write_text(config, encoding="utf-8")
    log = directory / f"{name}.log"
    with start(directory, ("--listen", "127.0.0.1:0", *options), log, environ or {}) as process:

        def address() -> str:
            assert process.poll() is None, f"sergas serve ended:\n{log.read_text('utf-8')}"
            found = _LISTENING.search(log.read_text("utf-8"))
            return found[1] if found else ""

        url = until(address, "sergas serve listens", log, deadline_s=_PATIENCE_S)
        yield Sidecar(url, process, log)


@contextmanager
def start(
    directory: Path, options: Sequence[str], log: Path, environ: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """Run ``sergas serve`` with ``options`` in ``directory``; end it afterwards."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest_sergas", "serve", *options],
            cwd=directory,
            env={**os.environ, **environ},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_PATIENCE_S)
        finally:
            process.kill()
            process.wait()
