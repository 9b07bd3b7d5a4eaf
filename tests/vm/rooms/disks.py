# SPDX-License-Identifier: Apache-2.0
"""Disks that fail a node: a /run without room, a state folder and an image store that are read-only.

Each time the same is asked: what runs goes on, the node is drained by name, what comes is refused by name or waits, and once the
disk is mended the node takes jobs again without anybody saying so.
"""
import contextlib
import os
import pathlib

from rooms.hands import SMALL, UNITS, USER, ends, equal, is_drained, is_well, job, sh, submit, units_are_up, waiting_job

STATE = pathlib.Path("/var/lib/slipway/agent")
STORE = pathlib.Path("/var/lib/slipway/broker/images")


def fill(folder):
    """Until not a byte more goes in."""
    filler, there = folder / "filler", os.statvfs(folder)
    sh(f"fallocate -l {(there.f_bavail - 1) * there.f_frsize} {filler}")
    with contextlib.suppress(OSError), open(filler, "ab", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    return filler


def mount(image, folder):
    sh(f"mount -o loop,errors=remount-ro {image} {folder}")


@contextlib.contextmanager
def disk_under(folder, *units):
    """What is in the folder lies on a disk of its own meanwhile; these units use it."""
    image, was = pathlib.Path("/var/tmp/disk.img"), folder.stat()
    sh(f"systemctl stop {' '.join(units)}")
    try:
        sh(f"truncate -s 192M {image} && mke2fs -q -t ext4 -m 0 -d {folder} {image}")
        mount(image, folder)
        (folder / "lost+found").rmdir()
        os.chown(folder, was.st_uid, was.st_gid)
        folder.chmod(was.st_mode & 0o7777)
        sh(f"systemctl start {' '.join(UNITS)}")
        units_are_up()
        yield image
    finally:
        sh(f"systemctl stop {' '.join(units)}; umount {folder}; rm -f {image}; systemctl start {' '.join(UNITS)}")
        units_are_up()


def the_node_lives_through(fault, words, mend, meanwhile=lambda running: None):
    """One job runs when it happens, another one comes while it lasts."""
    running, go = waiting_job(*SMALL)
    fault()
    reason = is_drained(words)
    waiting = submit(*SMALL, wrap="exit 4")
    meanwhile(running)
    equal((job(running)["state"], job(waiting)["state"]), ("RUNNING", "PENDING"))
    go.touch()
    ends(running, "FAILED", 23)
    equal(job(waiting)["state"], "PENDING")
    mend()
    is_well()
    ends(waiting, "FAILED", 4)
    return reason


def a_full_run_folder_refuses_by_name_and_drains_the_node_until_it_has_room():
    """Daemons that are started anew find it full, too."""
    run = pathlib.Path("/run")

    def meanwhile(running):
        sh("systemctl restart slipway-broker slipway-agent")
        step = sh(f"slipway launch --jobid {running} -n1 --mpi=none --image tiny -- true", USER, check=False)
        assert step.returncode == 125 and "No space left on device" in step.stderr, step
    try:
        return the_node_lives_through(lambda: fill(run), "/run/slipway has less than 64 MiB free", (run / "filler").unlink, meanwhile)
    finally:
        (run / "filler").unlink(missing_ok=True)


def it_lives_through_read_only(folder, *units):
    with disk_under(folder, *units):
        return the_node_lives_through(lambda: sh(f"mount -o remount,ro {folder}"), f"{folder} is read-only", lambda: sh(f"mount -o remount,rw {folder}"))


def a_state_folder_that_is_read_only_drains_the_node_until_it_is_not():
    return it_lives_through_read_only(STATE, "slipway-agent")


def an_image_store_that_is_read_only_drains_the_node_until_it_is_not():
    """The broker's, which the agent may not look into."""
    assert sh(f"ls {STORE}", "slipway", check=False).returncode != 0
    return it_lives_through_read_only(STORE, "slipway-steps")
