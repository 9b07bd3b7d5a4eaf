# SPDX-License-Identifier: Apache-2.0
"""What every check does things with: commands, jobs, waiting, and a line on the console."""
import json
import pathlib
import subprocess
import time

ETC = pathlib.Path("/etc/slipway")
STEPS = pathlib.Path("/sys/fs/cgroup/system.slice/slipway-steps.service")
UNITS = ["slipway-steps", "slipway-broker", "slipwayd", "slipway-agent"]
USER, HOME = "alice", pathlib.Path("/home/alice")
SMALL = ("-c", "1", "--mem", "100M")  # of a job that is to run beside another one
# What the site lets every job have beside its own limits, unless a check says otherwise (site_gives).
USUAL = ("io.weight=50", "hugetlb.2MB.max=4M")
PATIENCE = 900  # seconds for anything at all: an emulated machine on a busy host is slow, and slow is not wrong


def say(*words):
    with open("/dev/console", "w") as console:
        console.write(" ".join(["VM", *map(str, words)]).replace("\n", " | ") + "\n")


def sh(command, user=None, check=True):
    argv = ["sh", "-c", command]
    if user:
        argv = ["setpriv", "--reuid", user, "--regid", user, "--init-groups", "env", f"HOME={HOME}", f"USER={user}", *argv]
    done = subprocess.run(argv, cwd=HOME if user else "/", text=True, capture_output=True, timeout=PATIENCE, errors="replace")
    if check and done.returncode != 0:
        raise AssertionError(f"{command}: exit code {done.returncode}: {done.stdout} {done.stderr}")
    return done


def equal(is_, should):
    assert is_ == should, f"{is_!r}, not {should!r}"


def lose_patience():
    """After a first failure the others are to be told, too, before whoever waits for all of this gives up."""
    global PATIENCE
    PATIENCE = 100


def wait_until(what, condition):
    patience = PATIENCE
    deadline = time.monotonic() + patience
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {patience} s: {what()if callable(what) else what}"
        time.sleep(0.2)
    return value


def submit(*options, wrap):
    script = HOME / f"job-{time.monotonic_ns()}.sh"
    script.write_text(f"#!/bin/sh\n{wrap}\n")
    done = sh(f"slipway submit --parsable --image tiny -o out-%j {' '.join(options)} {script}", USER)
    return int(done.stdout.split(";")[0])


def job(job_id, by=USER):
    return json.loads(sh(f"slipway job --json {job_id}", by).stdout)


def ended(job_id, by=USER):
    return wait_until(lambda: f"the end of {job(job_id, by)}",
                      lambda: (lambda j: j if j.get("ended") else None)(job(job_id, by)))


def output(job_id):
    path = HOME / f"out-{job_id}"
    return path.read_text() if path.exists() else ""


def ends(job_id, state, exit_code):
    j = ended(job_id)
    assert (j["state"], j["exit_code"]) == (state, exit_code), f"{j} with output {output(job_id)!r}"
    return j


def waiting_job(*options):
    """A running job that ends with code 23 once its `go` file is there."""
    go = HOME / f"go-{time.monotonic_ns()}"
    job_id = submit(*options, wrap=f"echo up; while [ ! -e {go} ]; do sleep 0.3; done; exit 23")
    wait_until(lambda: f"{job(job_id)} runs", lambda: "up" in output(job_id))
    return job_id, go


def tasks_cgroup(job_id):
    return next(path for path in STEPS.glob(f"{job_id}.*/*/tasks") if (path / "cgroup.procs").read_text())


def units_are_up():
    def up():
        return sh(f"systemctl is-active {' '.join(UNITS)}", check=False).stdout.split() == ["active"] * 4
    wait_until(lambda: sh("systemctl --no-pager status 'slipway*'", check=False).stdout, up)
    wait_until("the node is UP", lambda: '"UP"' in sh("slipway nodes --json", USER, check=False).stdout.upper() or
               '"IDLE"' in sh("slipway nodes --json", USER, check=False).stdout.upper())


def node():
    return json.loads(sh("slipway nodes --json", USER).stdout)["nodes"][0]


def is_drained(words):
    """By the agent's own look; the reason."""
    def reason():
        now = node()
        return now["reason"] if now["state"].startswith("DRAIN") and words in now.get("reason", "") else None
    return wait_until(lambda: f"the node is drained, {words}: {node()}", reason)


def is_well():
    wait_until(lambda: f"the node is up: {node()}", lambda: (node()["state"], node().get("reason", "")) == ("UP", ""))


def site_gives(*lines):
    """controller.job_cgroup from now on: slipwayd reads it when it starts, and jobs that run keep what they were given."""
    settings = ETC / "slipway.toml"
    text = settings.read_text()
    before = next(line for line in text.splitlines() if line.startswith("job_cgroup"))
    settings.write_text(text.replace(before, f"job_cgroup = {json.dumps(list(lines))}"))
    sh("systemctl restart slipwayd")
    units_are_up()
