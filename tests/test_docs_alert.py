"""The README's way from ``sergas serve`` to an alert that has arrived, executed word for word, but for the ports."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.servers.controlled import reserved_port
from tests.servers.process import until
from tests.test_docs import INHERITED, chapter, matches

pytestmark = pytest.mark.integration

TITLE = "Five commands to an alert"
SIDECAR, RECEIVER = "127.0.0.1:8000", "127.0.0.1:9000"
PATIENT_S = 60.0


class Shell:
    """What types the commands.

    Args:
        ports: address in the README → address here.
    """

    def __init__(self, directory: Path, ports: dict[str, str]) -> None:
        self._directory = directory
        self._ports = ports
        self._environ = {name: value for name, value in os.environ.items() if name not in INHERITED}
        self._environ |= {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "80"}
        self._background: list[subprocess.Popen[bytes]] = []

    def here(self, text: str) -> str:
        for documented, own in self._ports.items():
            host, _, port = documented.partition(":")
            text = text.replace(documented, own).replace(f'"{host}", {port}', f'"{host}", {own.partition(":")[2]}')
        return text

    def documented(self, text: str) -> str:
        for documented, own in self._ports.items():
            text = text.replace(own, documented)
        return text

    def run(self, command: str, expected: str) -> None:
        """Run ``command`` and wait until it has printed what is ``expected``."""
        if command == "sergas serve &":
            command = f"sergas serve --listen {SIDECAR} &"  # where it listens without being told
        if command.endswith("&"):
            self._start(command.removesuffix("&"), expected)
        elif command.startswith(("sergas channels", "cat")):
            # What it talks to may still be starting, and the alert on its way: who types it does so slowly.
            self._until(lambda: self._printed(command), command, expected)
        else:
            output = self._printed(command)
            assert matches(expected, output), f"$ {command}\n{output}"

    def stop(self) -> None:
        for process in self._background:
            process.terminate()
            process.wait(PATIENT_S)

    def _start(self, command: str, expected: str) -> None:
        log = self._directory.parent / f"{len(self._background)}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["/bin/bash", "-c", f"exec {self.here(command)}"],
                cwd=self._directory,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.DEVNULL,
            )
        self._background.append(process)
        self._until(lambda: log.read_text("utf-8"), command, expected)

    def _printed(self, command: str) -> str:
        done = subprocess.run(
            ["/bin/bash", "-c", self.here(command)],
            cwd=self._directory,
            env=self._environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENT_S,
        )
        return self.documented(done.stdout + done.stderr)

    def _until(self, look: Callable[[], str], command: str, expected: str) -> None:
        output = ""

        def is_there() -> bool:
            nonlocal output
            output = self.documented(look())
            return matches(expected, output)

        try:
            until(is_there, command, deadline_s=PATIENT_S)
        except AssertionError as error:
            raise AssertionError(f"$ {command}\n{output}") from error


@contextmanager
def shell(directory: Path) -> Iterator[Shell]:
    directory.mkdir()
    with reserved_port() as sidecar, reserved_port() as receiver:
        typing = Shell(directory, {SIDECAR: f"127.0.0.1:{sidecar}", RECEIVER: f"127.0.0.1:{receiver}"})
        try:
            yield typing
        finally:
            typing.stop()


def test_five_commands_lead_to_an_alert_that_has_arrived(tmp_path: Path) -> None:
    commands = 0
    with shell(tmp_path / "shop") as typing:
        for block in chapter(TITLE):
            if block.file:
                file = tmp_path / "shop" / block.file
                file.parent.mkdir(exist_ok=True)
                file.write_text(typing.here(block.text), encoding="utf-8")
                continue
            for command, expected in block.commands:
                typing.run(command, expected)
                commands += 1

    assert commands == 5
