# SPDX-License-Identifier: Apache-2.0
"""Weights: what jobs get of one thing that they want at the same time."""
import contextlib
import os
import pathlib

from rooms.hands import SMALL, USER, USUAL, ended, output, sh, site_gives, submit, tasks_cgroup, wait_until

READ = "/mnt/site/stage/usr/libexec/slipway/slipway-remote"  # some megabytes on a disk of its own


@contextlib.contextmanager
def disk_that_gives(bytes_per_s):
    """The kernel shares a disk out by what it believes of it (io.cost), never by luck: so much, however fast it really is."""
    number = os.stat(READ).st_dev
    disk, root = f"{os.major(number)}:{os.minor(number)}", pathlib.Path("/sys/fs/cgroup")
    (root / "io.cost.model").write_text(f"{disk} ctrl=user model=linear rbps={bytes_per_s} rseqiops=10000 rrandiops=10000 "
                                        f"wbps={bytes_per_s} wseqiops=10000 wrandiops=10000")
    (root / "io.cost.qos").write_text(f"{disk} enable=1 ctrl=user min=100 max=100")
    try:
        yield disk
    finally:
        (root / "io.cost.qos").write_text(f"{disk} enable=0")


def reader(weight):
    """A job that reads past the page cache until it is cancelled."""
    site_gives(f"io.weight={weight}")
    job_id = submit(*SMALL, "--bind", READ, wrap=f"echo up; while dd if={READ} of=/dev/null bs=64k iflag=direct 2>&1; do :; done")
    wait_until(lambda: output(job_id), lambda: "up" in output(job_id))
    return job_id


def read_by(job_id, disk):
    for line in (tasks_cgroup(job_id) / "io.stat").read_text().splitlines():
        if line.startswith(f"{disk} "):
            return int(dict(word.split("=") for word in line.split()[1:])["rbytes"])
    return 0


def the_weight_of_input_and_output_bites():
    """Two jobs read from one disk at the same time, weighed 1000 and 50: what the first gets is by far the most of it."""
    jobs = []
    try:
        with disk_that_gives(2 << 20) as disk:
            jobs = [reader(1000), reader(50)]
            wait_until(lambda: f"both read: {[output(job_id)[-200:] for job_id in jobs]}", lambda: all(read_by(job_id, disk) for job_id in jobs))
            begin = [read_by(job_id, disk) for job_id in jobs]

            def got():
                return [read_by(job_id, disk) - before for job_id, before in zip(jobs, begin)]
            much, little = wait_until(lambda: f"8 MiB are read: {got()}", lambda: (lambda both: both if sum(both) > 8 << 20 else None)(got()))
    finally:
        for job_id in jobs:
            sh(f"slipway cancel {job_id}", USER)
            ended(job_id)
        site_gives(*USUAL)
    assert little > 0 and much / little >= 3, f"{much} and {little} bytes"
    return f"1000 and 50: {much} and {little} bytes, {much / little:.1f} to 1"
