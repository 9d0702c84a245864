"""What is answered is on the disk, not only with the kernel: counted as a system call for each transaction."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers import tools

pytestmark = pytest.mark.integration

WRITE = """
import asyncio, sys
from pathlib import Path
from pytest_sergas.config.groups import GroupSettings
from pytest_sergas.engine.store import Store

async def main():
    store = await Store.open(Path(sys.argv[1]), GroupSettings())
    for number in range(int(sys.argv[2])):
        row = (str(number),)
        await store.write(
            lambda connection: connection.execute("INSERT INTO pushed_groups VALUES (?, 0, 0, 0, NULL, x'')", row)
        )
    await store.close()

asyncio.run(main())
"""


def synced(directory: Path, transactions: int) -> int:
    """Return how often the write-ahead log was made durable for so many transactions one after the other."""
    strace = tools.find("strace", "apt-get install strace")
    store, calls = directory / f"{transactions}.db", directory / f"{transactions}.calls"
    traced = f"{strace} -f -y -e trace=fsync,fdatasync -o {calls}".split()
    written = [sys.executable, "-c", WRITE, str(store), str(transactions)]
    subprocess.run([*traced, *written], check=True, capture_output=True, timeout=100)
    return calls.read_text("utf-8").count(f"{store}-wal>")


@pytest.mark.skipif(sys.platform != "linux", reason="strace is of Linux")
def test_every_transaction_is_made_durable_before_it_is_answered(tmp_path: Path) -> None:
    # The difference of two runs: what opening and closing cost drops out.
    assert synced(tmp_path, 25) - synced(tmp_path, 5) == 20
