"""Takes the pictures of the README: what one sees after ``make demo``, on a desk and on a phone.

python -m tests.sidecar.pages.screenshots

The sidecar is started with what the demo itself prints, so that no other configuration is shown.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.servers.chromium import chromium
from tests.servers.process import until
from tests.servers.sidecar import sidecar
from tests.sidecar.conftest import ask

ROOT = Path(__file__).parents[3]
PICTURES = ROOT / "examples" / "pictures"
DEMO = ROOT / "examples" / "demo.py"
RUNS = 4
VIEWS = {"overview": (1_000, 760, "light"), "phone": (360, 760, "dark")}


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        build = Path(directory)
        for _ in range(RUNS):
            printed = subprocess.run(
                [sys.executable, DEMO, build], cwd=build, check=True, capture_output=True, text=True
            ).stdout
        take(build, printed, PICTURES)


def options_of(printed: str) -> list[str]:
    """Return the arguments of ``sergas serve`` in the last line that a demo has printed."""
    return shlex.split(printed.strip().rpartition(" serve ")[2])


def take(build: Path, printed: str, pictures: Path) -> None:
    """Take the pictures of the page that a demo has named.

    Args:
        build: where the demo was started, and left its store.
        printed: what it has printed.
    """
    pictures.mkdir(exist_ok=True)
    with sidecar(build, *options_of(printed)) as running, chromium() as browser:
        until(lambda: ask(running.url, "/").text.count("in 24 hours") == 2, "the checks have run", running.log)
        for name, (width, height, scheme) in VIEWS.items():
            context = browser.new_context(
                viewport={"width": width, "height": height}, color_scheme="dark" if scheme == "dark" else "light"
            )
            page = context.new_page()
            page.goto(running.url)
            page.screenshot(path=pictures / f"{name}.png")
            context.close()


if __name__ == "__main__":
    main()
