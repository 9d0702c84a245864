"""Takes the pictures of the README: the overview after the suite of ``make demo`` has run, on a desk and on a phone.

python -m tests.sidecar.pages.screenshots
"""

from __future__ import annotations

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
SUITE = ROOT / "examples" / "ten_types"
RUNS = 4
VIEWS = {"overview": (1_000, 760, "light"), "phone": (360, 760, "dark")}
CONFIG = """\
[[checks]]
type = "python"
name = "orders"
call = "orders:waiting"

[[checks]]
type = "sqlite"
name = "store"
path = "sergas.db"
"""


def main() -> None:
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, "orders.py").write_text("def waiting():\n    return 'no order waits'\n", encoding="utf-8")
        take(Path(directory))


def take(directory: Path) -> None:
    with sidecar(directory, config=CONFIG) as running:
        command = [sys.executable, "-m", "pytest", "-q", "-n", "2", f"--sergas-sidecar={running.url}"]
        for _ in range(RUNS):
            subprocess.run(command, cwd=SUITE, check=True)
        until(lambda: "not checked yet" not in ask(running.url, "/").text, "the checks have run")
        with chromium() as browser:
            for name, (width, height, scheme) in VIEWS.items():
                context = browser.new_context(
                    viewport={"width": width, "height": height}, color_scheme="dark" if scheme == "dark" else "light"
                )
                page = context.new_page()
                page.goto(running.url)
                page.screenshot(path=PICTURES / f"{name}.png")
                context.close()


if __name__ == "__main__":
    main()
