# SPDX-License-Identifier: Apache-2.0
"""Memory beyond the plain limit: swap, the mark where reclaim begins, and the side of the machine it is taken from."""
import contextlib
import pathlib

from rooms.hands import HOME, SMALL, USER, USUAL, ended, ends, equal, output, sh, site_gives, submit, tasks_cgroup, wait_until, waiting_job


def takes(megabytes):
    """A command that fills so much memory bit by bit: tail keeps its last lines, and there is but one."""
    return f"dd if=/dev/zero bs=64k count={megabytes * 16} | tail >/dev/null"


@contextlib.contextmanager
def swap(megabytes):
    sh(f"fallocate -l {megabytes}M /var/swap && chmod 600 /var/swap && mkswap /var/swap && swapon /var/swap")
    try:
        yield
    finally:
        sh("swapoff /var/swap; rm /var/swap")
        site_gives(*USUAL)


def swapped_out():
    return int(dict(line.split() for line in pathlib.Path("/proc/vmstat").read_text().splitlines())["pswpout"])


def swap_is_nobodys_unless_the_site_gives_it():
    """The node has swap. A job of 24 MiB has none of it, and as much as the site says (memory.swap.max) where it says so."""
    mine = ("-c", "1", "--mem", "24M")
    with swap(128):
        equal(ended(submit(*mine, wrap=takes(40)))["state"], "OUT_OF_MEMORY")
        site_gives(*USUAL, "memory.swap.max=100%")
        before = swapped_out()
        ends(submit(*mine, wrap=takes(40)), "COMPLETED", 0)
        pages = swapped_out() - before
        assert pages > 8 << 20 >> 12, f"{pages} pages were swapped out"
        equal(ended(submit(*mine, wrap=takes(80)))["state"], "OUT_OF_MEMORY")
    return f"{pages} pages were swapped out"


def reclaim_begins_at_the_mark():
    """memory.high=50%: 24 MiB go into a job of 32, and no more than the mark is in use at any time."""
    with swap(128):
        site_gives(*USUAL, "memory.high=50%", "memory.swap.max=100%")
        go = HOME / "go-high"
        job_id = submit("-c", "1", "--mem", "32M", wrap=f"{takes(24)} && echo filled; while [ ! -e {go} ]; do sleep 0.3; done")
        wait_until(lambda: output(job_id), lambda: "filled" in output(job_id))
        events = dict(line.split() for line in (tasks_cgroup(job_id) / "memory.events").read_text().splitlines())
        go.touch()
        peak = ends(job_id, "COMPLETED", 0)["steps"][0]["parts"][0]["memory_peak_bytes"]
    assert int(events["high"]) > 0, events
    assert peak < 22 << 20, peak
    return f"peak {peak} bytes, {events['high']} times at the mark"


def a_jobs_memory_is_beside_its_processors():
    """--mem-bind=local: of two jobs each has a processor and the memory node beside it (cpuset.mems)."""
    def at(text):
        return pathlib.Path(text).read_text().strip()
    seen = {}
    running = [waiting_job(*SMALL, "--mem-bind=local") for _ in range(2)]
    for job_id, go in running:
        of_job = tasks_cgroup(job_id).parent.parent
        cpu, mems = at(of_job / "cpuset.cpus"), at(of_job / "cpuset.mems")
        equal([node.name for node in pathlib.Path(f"/sys/devices/system/cpu/cpu{cpu}").glob("node*")], [f"node{mems}"])
        pid = min((tasks_cgroup(job_id) / "cgroup.procs").read_text().split(), key=int)
        equal(sh(f"grep Mems_allowed_list /proc/{pid}/status").stdout.split()[1], mems)
        seen[cpu] = mems
        go.touch()
        ends(job_id, "FAILED", 23)
    equal(len(seen), 2)
    return f"processor: memory node {seen}"
