# SPDX-License-Identifier: Apache-2.0
"""Limits that bite, devices that are refused, and what a node cannot hold."""
import json
import pathlib
import pwd
import time

from rooms.hands import (HOME, USER, USUAL, ended, ends, equal, job, output, sh, site_gives, submit, tasks_cgroup, wait_until,
                         waiting_job)


def the_memory_limit_bites():
    j = ended(submit("--mem", "64M", wrap="exec tail /dev/zero"))
    equal(j["state"], "OUT_OF_MEMORY")
    assert "memory" in json.dumps(j["steps"]), j


def memory_used_up_by_a_child_is_told_too():
    j = ended(submit("--mem", "64M", wrap="tail /dev/zero; exit 1"))
    equal(j["state"], "OUT_OF_MEMORY")


def a_fork_bomb_stays_in_its_job():
    job_id = submit("-c", "1", wrap="n=0; while [ $n -lt 300 ]; do sleep 300 & n=$((n+1)); done; wait")
    j = ended(job_id)
    equal(j["state"], "FAILED")
    assert "ork" in output(job_id), output(job_id)
    wait_until("its processes are gone", lambda: sh(f"pgrep -u {USER} sleep", check=False).stdout == "")


def the_cpu_limit_bites():
    """Two processes that spin have one core's worth of time, and a fifth of it where the site says so (cpu.max)."""
    def spun(name):
        go = HOME / name
        job_id = submit("-c", "1", wrap=f"echo up; for i in 1 2; do (while [ ! -e {go} ]; do :; done) & done; wait")
        wait_until("it runs", lambda: "up" in output(job_id))
        stat = tasks_cgroup(job_id) / "cpu.stat"

        def at():
            return {key: int(value) for key, value in (line.split() for line in stat.read_text().splitlines())}
        begin, began = at(), time.monotonic()
        now = wait_until(lambda: f"1 s is used: {at()}", lambda: (lambda n: n if n["usage_usec"] - begin["usage_usec"] > 1_000_000 else None)(at()))
        cores = (now["usage_usec"] - begin["usage_usec"]) / 1e6 / (time.monotonic() - began)
        go.touch()
        ends(job_id, "COMPLETED", 0)
        return cores, now["nr_throttled"]
    whole, _ = spun("go-whole")
    site_gives(*USUAL, "cpu.max=20000 100000")
    try:
        fifth, stops = spun("go-fifth")
    finally:
        site_gives(*USUAL)
    assert whole < 1.25 and fifth < 0.25 and stops > 0, f"{whole:.2f} and {fifth:.2f} cores, stopped {stops} times"
    return f"{whole:.2f} cores used by two spinning processes on one core, {fifth:.2f} of a fifth"


def out_of_memory_takes_the_whole_step():
    job_id = submit("--mem", "64M", wrap="sleep 600 & tail /dev/zero; echo survived")
    j = ended(job_id)
    equal((j["state"], output(job_id).count("survived")), ("OUT_OF_MEMORY", 0))
    equal(sh(f"pgrep -u {USER} sleep", check=False).stdout, "")
    step = j["steps"][0]
    peak = step["parts"][0]["memory_peak_bytes"]
    assert 32 << 20 < peak <= 64 << 20, peak
    assert "were in use" in step["reason"], step
    return f"peak {peak} bytes"


def what_a_step_used_is_kept():
    j = ends(submit("-c", "1", wrap="n=0; while [ $n -lt 100000 ]; do n=$((n+1)); done"), "COMPLETED", 0)
    part = j["steps"][0]["parts"][0]
    equal(part["node"], "vm")
    assert part["cpu_us"] > 10_000 and part["memory_peak_bytes"] > 100_000, part
    return f"{part['cpu_us']} us, {part['memory_peak_bytes']} bytes"


def ranks_see_the_cpuset_of_their_job():
    job_id, go = waiting_job("-c", "1")
    tasks = tasks_cgroup(job_id)
    cpus = (tasks.parent.parent / "cpuset.cpus").read_text().strip()
    equal((tasks / "cpuset.cpus.effective").read_text().strip(), cpus)
    # Its `sleep` comes and goes.
    pid = min((tasks / "cgroup.procs").read_text().split(), key=int)
    allowed = sh(f"grep Cpus_allowed_list /proc/{pid}/status").stdout.split()[1]
    go.touch()
    ends(job_id, "FAILED", 23)
    equal(allowed, cpus)
    assert cpus.isdigit(), f"one core is one processor here, not {cpus}"
    bound = sh("slipway launch -n 1 --cpu-bind=verbose,cores --mpi=none --image tiny -- grep Cpus_allowed_list /proc/self/status", USER)
    assert bound.stdout.split()[1].isdigit() and "processors " in bound.stderr, bound
    return f"processor {cpus}"


def a_stopped_job_is_frozen_and_goes_on():
    job_id, go = waiting_job()
    tasks = tasks_cgroup(job_id)
    sh(f"slipway cancel --signal STOP {job_id}", USER)
    wait_until("it is frozen", lambda: "frozen 1" in (tasks / "cgroup.events").read_text())
    go.touch()
    equal(job(job_id)["state"], "RUNNING")
    sh(f"slipway cancel --signal CONT {job_id}", USER)
    ends(job_id, "FAILED", 23)
    job_id, _ = waiting_job()
    sh(f"slipway cancel --signal STOP {job_id}", USER)
    sh(f"slipway cancel {job_id}", USER)
    equal(ended(job_id)["state"], "CANCELLED")


def huge_pages_bite():
    """The node has more than the job may take."""
    sh("sysctl -qw vm.nr_hugepages=8")
    try:
        assert int(pathlib.Path("/proc/sys/vm/nr_hugepages").read_text()) >= 6, "the kernel has no huge pages to give"
        job_id = submit("-c", "1", wrap="huge 2; huge 5")
        ends(job_id, "FAILED", 7)
        equal(output(job_id).splitlines(), ["had 2", "refused after 2"])
    finally:
        sh("sysctl -qw vm.nr_hugepages=0")


def what_is_not_counted_is_said():
    """A virtual machine has no RAPL."""
    said = sh("journalctl --no-pager -u slipway-agent").stdout
    assert "energy is not counted: " in said, said[-2000:]
    return said[said.index("energy is not counted"):].splitlines()[0]


def nothing_is_beyond_this_node():
    """What a kernel lacks is said."""
    node = json.loads(sh("slipway nodes --json", USER).stdout)["nodes"][0]
    for limit in ("memory", "pids", "cpu", "cpuset", "io", "hugetlb", "devices", "processes"):
        assert not any(what.startswith(f"{limit}:") for what in node["cannot"]), node["cannot"]
    return f"cannot: {node['cannot']}"


def a_users_own_container_is_limited():
    """No scheduler: the user's systemd makes a scope. It is reached although nobody logged in by ssh, and without a message bus."""
    image, uid = "/var/tmp/image", pwd.getpwnam(USER).pw_uid
    done = sh(f"slipway exec --memory 64M {image} true", USER, check=False)
    equal(done.returncode, 125)
    assert "a systemd of your own" in done.stderr, done.stderr
    sh(f"loginctl enable-linger {USER}")
    wait_until("the user's systemd is up", lambda: pathlib.Path(f"/run/user/{uid}/systemd/private").exists())
    sh(f"slipway exec --memory 64M {image} true", USER)
    equal(sh(f"slipway exec --memory 64M --memory-swap 64M {image} tail /dev/zero", USER, check=False).returncode, 137)
    forks = sh(f"slipway exec --pids-limit 16 {image} sh -c 'for i in $(seq 40); do sleep 1 & done; wait'", USER, check=False)
    assert "ork" in forks.stderr, forks.stderr
    sh(f"slipway instance start --memory 128M --cpus 0.5 {image} own", USER)
    facts = json.loads(sh("slipway instance stats --json", USER).stdout)["instances"][0]
    equal((facts["source"], facts["memory_limit_bytes"]), ("cgroup", 128 << 20))
    scope = next(pathlib.Path("/sys/fs/cgroup/user.slice").rglob("slipway-*.scope"))
    equal((scope / "cpu.max").read_text().strip(), "50000 100000")
    sh("slipway instance stop own", USER)
    wait_until("its scope is gone", lambda: not list(pathlib.Path("/sys/fs/cgroup/user.slice").rglob("slipway-*.scope")))
    refused = sh(f"slipway exec --cpuset-cpus 0 {image} true", USER, check=False)  # Debian delegates all but that to users
    sh(f"loginctl disable-linger {USER}")
    wait_until("the user's systemd has gone", lambda: sh(f"pgrep -u {USER}", check=False).stdout == "")
    return f"cpuset: {refused.returncode} {refused.stderr.strip()}"
