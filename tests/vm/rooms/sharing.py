# SPDX-License-Identifier: Apache-2.0
"""Weights: what jobs get of one thing that they want at the same time."""
import contextlib
import os
import pathlib

from rooms.hands import ETC, SMALL, USER, USUAL, ended, node, output, sh, site_gives, submit, tasks_cgroup, units_are_up, wait_until

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


@contextlib.contextmanager
def more_cores_than_there_are(cores):
    """Cores are nobody's twice, so weights never meet on a node that binds them. One whose agent offers others than there are
    (agent.cores) counts them only, and its jobs share whatever the machine has."""
    setting = ETC / "conf.d/oversold.toml"
    setting.parent.mkdir(exist_ok=True)
    setting.write_text(f"[agent]\ncores = {cores}\n")
    try:
        sh("systemctl restart slipway-agent")
        wait_until("the node has them", lambda: node()["cores"] == cores)
        units_are_up()
        yield
    finally:
        setting.unlink()
        sh("systemctl restart slipway-agent")
        wait_until("the node has its own", lambda: node()["cores"] == os.cpu_count())
        units_are_up()


def spun_by(job_id):
    return int(dict(line.split() for line in (tasks_cgroup(job_id) / "cpu.stat").read_text().splitlines())["usage_usec"])


def shares_of_five_cores_and_one():
    """Microseconds of two jobs that both want all processors, once they had six seconds together."""
    jobs = []
    try:
        for cores in (5, 1):
            jobs.append(submit("-c", str(cores), "--mem", "100M", wrap="echo up; for i in 1 2 3 4; do (while :; do :; done) & done; wait"))
        wait_until("both run", lambda: all("up" in output(job_id) for job_id in jobs) and all(spun_by(job_id) > 100_000 for job_id in jobs))
        begin = [spun_by(job_id) for job_id in jobs]

        def got():
            both = [spun_by(job_id) - before for job_id, before in zip(jobs, begin)]
            return both if sum(both) > 6_000_000 else None
        return wait_until("6 s are used", got)
    finally:
        for job_id in jobs:
            sh(f"slipway cancel {job_id}", USER)
            ended(job_id)


def the_weight_of_processors_bites():
    """On two processors a job of five cores and one of a single core: by themselves as their cores (cpu.weight 50 and 10), alike where
    the site says so. The single core's own limit is one processor, so that without weights each would have half of the machine."""
    with more_cores_than_there_are(6):
        much, little = shares_of_five_cores_and_one()
        site_gives(*USUAL, "cpu.weight=100")
        try:
            alike = shares_of_five_cores_and_one()
        finally:
            site_gives(*USUAL)
    assert much / little >= 2.5, f"{much} and {little} us"
    assert alike[0] / alike[1] <= 1.6, f"{alike} us, weighed alike"
    return f"5 cores and 1: {much / little:.1f} to 1 of {much + little} us; weighed alike {alike[0] / alike[1]:.2f} to 1"
