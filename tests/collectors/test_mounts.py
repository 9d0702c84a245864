"""Which mounts are disks of ours: on a machine with bind mounts and images, and in containers of several makes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_sergas.collectors.mounts import disks, is_container, parse, whole_devices

MACHINE = r"""
25 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
26 25 0:22 / /proc rw - proc proc rw
30 25 254:16 / /data rw,relatime - xfs /dev/vdb rw
31 25 254:16 /shop /srv/shop rw,relatime - xfs /dev/vdb rw
32 25 254:1 /var/lib/x /home/me/with\040blank rw - ext4 /dev/vda1 rw
33 25 7:0 / /snap/core/1 ro,nodev,relatime - squashfs /dev/loop0 ro
34 25 0:40 /@home /home rw - btrfs /dev/vdc rw
35 25 0:41 /@var /var/deep/down rw - btrfs /dev/vdc rw
36 25 254:32 / /mnt/archive ro - ext4 /dev/vdd ro
37 25 254:48 / /over rw - ext4 /dev/vde rw
38 25 254:64 / /over rw - ext4 /dev/vdf rw
a line that is none
"""
DOCKER = """
600 500 0:55 / / rw,relatime - overlay overlay rw,lowerdir=/a,upperdir=/b
601 600 0:60 / /proc rw - proc proc rw
610 600 259:1 /var/lib/docker/containers/c/resolv.conf /etc/resolv.conf rw - ext4 /dev/nvme0n1p1 rw
611 600 259:1 /var/lib/docker/containers/c/hostname /etc/hostname rw - ext4 /dev/nvme0n1p1 rw
612 600 259:1 /var/lib/docker/containers/c/hosts /etc/hosts rw - ext4 /dev/nvme0n1p1 rw
613 600 259:1 /var/lib/docker/volumes/v/_data /data rw - ext4 /dev/nvme0n1p1 rw
614 600 259:1 /home/me/more /more rw - ext4 /dev/nvme0n1p1 rw
615 600 259:9 /etc/shop /etc/shop ro - ext4 /dev/nvme1n1p9 rw
616 600 259:5 / /var/lib/postgresql rw - ext4 /dev/nvme2n1 rw
"""
FILES = {"/etc/resolv.conf", "/etc/hostname", "/etc/hosts"}


def shown(text: str, *, in_container: bool) -> list[str]:
    kinds = ("ext4", "xfs", "btrfs", "squashfs", "overlay")
    mounts = [mount for mount in parse(text).values() if mount.fstype in kinds]
    return [one.mountpoint for one in disks(mounts, lambda path: path not in FILES, in_container=in_container)]


@pytest.mark.unit
def test_each_disk_of_a_machine_is_shown_once_under_its_shortest_path() -> None:
    assert shown(MACHINE, in_container=False) == ["/", "/data", "/home", "/over", "/mnt/archive"]
    assert parse(MACHINE)["/over"].source == "/dev/vdf"  # what lies beneath is not seen
    assert "/home/me/with blank" in parse(MACHINE)


@pytest.mark.unit
def test_container_shows_its_root_and_each_disk_that_it_can_fill() -> None:
    assert shown(DOCKER, in_container=True) == ["/", "/data", "/var/lib/postgresql"]
    read_only = DOCKER.replace("/ / rw,relatime", "/ / ro,relatime")
    assert shown(read_only, in_container=True) == ["/", "/data", "/var/lib/postgresql"]


@pytest.mark.unit
def test_container_is_known_by_its_root_or_by_the_mark_of_its_maker() -> None:
    def nothing(_: str) -> bool:
        return False

    assert is_container(parse(DOCKER), nothing)
    assert not is_container(parse(MACHINE), nothing)
    assert is_container(parse(MACHINE), lambda path: path == "/run/.containerenv")


@pytest.mark.unit
def test_devices_of_a_container_are_those_that_it_has_as_a_whole() -> None:
    assert whole_devices(parse(DOCKER).values()) == {"259:5"}


# What a container's engine does: a layered root, files and directories of the host mounted in it, a proc of its own.
CONTAINER = """
import json, os, subprocess, sys
from pytest_sergas.collectors.system import Disk

def mount(*arguments):
    subprocess.run(["mount", *arguments], check=True)

def disks():
    found = [one.labels for one in Disk().collect(lambda: 1)]
    return sorted({labels["mountpoint"] for labels in found if "mountpoint" in labels})

base = sys.argv[1]
seen = [disks()]
mount("--make-rprivate", "/")
for name in ("data", "more", "upper", "work", "root"):
    os.makedirs(f"{base}/{name}")
mount("--bind", f"{base}/data", f"{base}/more")
mount("--bind", "/etc/hosts", "/etc/hosts")
seen.append(disks())
mount("-t", "overlay", "overlay", "-o", f"lowerdir=/,upperdir={base}/upper,workdir={base}/work", f"{base}/root")
mount("-t", "proc", "proc", f"{base}/root/proc")
mount("--bind", f"{base}/data", f"{base}/root/opt")
mount("--bind", "/etc/hosts", f"{base}/root/etc/hosts")
os.chroot(f"{base}/root")
os.chdir("/")
seen.append(disks())
devices = {one.labels.get("device") for one in Disk().collect(lambda: 1)} - {None}
print(json.dumps([seen, sorted(devices)]))
"""


@pytest.mark.integration
@pytest.mark.skipif(
    not sys.platform.startswith("linux") or os.geteuid() != 0 or not shutil.which("unshare"),
    reason="mounts need root on Linux",
)
def test_real_mounts_of_parts_of_a_disk_are_that_disk_and_a_container_has_one(tmp_path: Path) -> None:
    unshare = str(shutil.which("unshare"))
    done = subprocess.run(
        [unshare, "--mount", sys.executable, "-c", CONTAINER, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    (before, with_binds, in_container), devices = json.loads(done.stdout)
    assert with_binds == before
    assert "/" in before
    assert (in_container, devices) == (["/"], [])
