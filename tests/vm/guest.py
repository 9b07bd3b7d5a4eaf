#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs inside the virtual machine, as root, started by systemd: installs Slipway as a site would and checks what only a
machine of one's own can show. Each check is one line on the console, which vm_test.py reads:

    VM ok NAME [detail]      VM FAILED NAME: why      VM ack ID      VM done PHASE
"""
import json
import os
import pathlib
import pwd
import shutil
import subprocess
import sys
import time
import traceback

SITE = pathlib.Path("/mnt/site")
ETC = pathlib.Path("/etc/slipway")
STEPS = pathlib.Path("/sys/fs/cgroup/system.slice/slipway-steps.service")
UNITS = ["slipway-steps", "slipway-broker", "slipwayd", "slipway-agent"]
USER, HOME = "alice", pathlib.Path("/home/alice")
SETTINGS = """
[cluster]
name = "vm"
id = "{id}"
[tls]
ca = "/etc/slipway/ca.pem"
[controller]
listen = "127.0.0.1:6821"
socket = "/run/slipway/controller/slipwayd.sock"
token_socket = "/run/slipway/controller/token.sock"
cert = "/etc/slipway/controller.crt"
key = "/run/credentials/slipwayd.service/controller.key"
signing_key = "/run/credentials/slipwayd.service/signing.key"
broker_socket = "/run/slipway/broker.sock"
processes_per_core_max = 64
[agent]
node = "vm"
controller = "127.0.0.1:6821"
listen = "127.0.0.1:6822"
cert = "/etc/slipway/nodes/vm.crt"
key = "/run/credentials/slipway-agent.service/node.key"
client_dir = "/var/lib/slipway/client"
token_socket = "/var/lib/slipway/client/token/token.sock"
"""
BROKER = """
node = vm
cluster = {id}
cgroup = system.slice/slipway-steps.service
agent_uid = {slipway.pw_uid}
agent_gid = {slipway.pw_gid}
import_uid = {importer.pw_uid}
import_gid = {importer.pw_gid}
"""
CONTEXT = 'name = "vm"\ncontroller = "unix:/run/slipway/controller/slipwayd.sock"\ntoken_socket = "/run/slipway/controller/token.sock"\n'
INSIDE = ('name = "vm"\ncontroller = "127.0.0.1:6821"\nca = "/run/slipway/client/ca.pem"\n'
          'token_socket = "/run/slipway/client/token/token.sock"\n')


def say(*words):
    with open("/dev/console", "w") as console:
        console.write(" ".join(["VM", *map(str, words)]).replace("\n", " | ") + "\n")


def sh(command, user=None, check=True, timeout=240):
    argv = ["sh", "-c", command]
    if user:
        argv = ["setpriv", "--reuid", user, "--regid", user, "--init-groups", "env", f"HOME={HOME}", f"USER={user}", *argv]
    done = subprocess.run(argv, cwd=HOME if user else "/", text=True, capture_output=True, timeout=timeout, errors="replace")
    if check and done.returncode != 0:
        raise AssertionError(f"{command}: exit code {done.returncode}: {done.stdout} {done.stderr}")
    return done


def equal(is_, should):
    assert is_ == should, f"{is_!r}, not {should!r}"


def wait_until(what, condition, timeout=180):
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {timeout} s: {what()if callable(what) else what}"
        time.sleep(0.2)
    return value


def submit(*options, wrap):
    script = HOME / f"job-{time.monotonic_ns()}.sh"
    script.write_text(f"#!/bin/sh\n{wrap}\n")
    done = sh(f"slipway submit --parsable --image tiny -o out-%j {' '.join(options)} {script}", USER)
    return int(done.stdout.split(";")[0])


def job(job_id):
    return json.loads(sh(f"slipway job --json {job_id}", USER).stdout)


def ended(job_id, timeout=240):
    return wait_until(lambda: f"the end of {job(job_id)}", lambda: (lambda j: j if j.get("ended") else None)(job(job_id)), timeout)


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


# --- the checks, in the order in which they are run -------------------------------------------------------------------


def installs():
    shutil.copytree(SITE / "stage/usr", "/usr", dirs_exist_ok=True, symlinks=True)
    sh("systemctl daemon-reload; systemd-sysusers && systemd-tmpfiles --create slipway.conf")
    sh("slipway init /etc/slipway --name vm && slipway init /etc/slipway --node vm")
    cluster_id = (ETC / "cluster-id").read_text().strip()
    (ETC / "slipway.toml").write_text(SETTINGS.format(id=cluster_id))
    (ETC / "starter.conf").write_text(BROKER.format(id=cluster_id, slipway=pwd.getpwnam("slipway"),
                                                    importer=pwd.getpwnam("slipway-import")))
    (ETC / "context.toml").write_text(CONTEXT)
    pathlib.Path("/var/lib/slipway/client/context.toml").write_text(INSIDE)


def units_come_up():
    sh(f"systemctl enable --now {' '.join(UNITS)}")
    units_are_up()
    return sh("systemctl --version | head -1").stdout.strip() + ", Linux " + os.uname().release


def units_are_up():
    def up():
        return sh(f"systemctl is-active {' '.join(UNITS)}", check=False).stdout.split() == ["active"] * 4
    wait_until(lambda: sh("systemctl --no-pager status 'slipway*'", check=False).stdout, up, 120)
    wait_until("the node is UP", lambda: '"UP"' in sh("slipway nodes --json", USER, check=False).stdout.upper() or
               '"IDLE"' in sh("slipway nodes --json", USER, check=False).stdout.upper(), 120)


def nothing_restarted():
    """A unit that came up at the second try was ordered wrongly."""
    for unit in UNITS:
        equal(sh(f"systemctl show -P NRestarts {unit}").stdout.strip(), "0")


def all_limits_are_held():
    def held():
        return set("memory pids cpu".split()) <= set((STEPS / "cgroup.subtree_control").read_text().split())
    if not held():
        files = ["cgroup.controllers", "cgroup.subtree_control", "cgroup.procs", "holder/cgroup.procs"]
        facts = {file: (STEPS / file).read_text() for file in files if (STEPS / file).exists()}
        raise AssertionError(f"{facts} {sh('systemd-cgls -u slipway-steps --no-pager', check=False).stdout}")
    assert (STEPS / "holder/cgroup.procs").read_text(), "the holder is not in its cgroup"


def an_image_is_imported():
    """A shell and what the checks call, of this system's own: emulated, a whole distribution would take its minutes."""
    image = pathlib.Path("/var/tmp/image")
    for folder in ("usr/bin", "usr/lib", "usr/lib64", "etc", "proc", "sys", "dev", "tmp", "home", "run", "var", "root"):
        (image / folder).mkdir(parents=True)
    for link in ("bin", "lib", "lib64"):
        (image / link).symlink_to(f"usr/{link}")
    for program in ("sh", "cat", "grep", "id", "seq", "sleep", "tail", "timeout", "touch", "true"):
        path = pathlib.Path("/usr/bin") / program
        shutil.copy(path.resolve(), image / "usr/bin" / program)
        for word in sh(f"ldd {path}").stdout.split():
            if word.startswith("/") and not (image / word[1:]).exists():
                (image / word[1:]).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(word, image / word[1:])
    sh(f"slipway image add {image} tiny", USER)


def a_job_runs_in_a_container():
    job_id = submit(wrap="id -u; cat /proc/1/comm; touch /usr/x 2>&1; grep Seccomp: /proc/self/status")
    ends(job_id, "COMPLETED", 0)
    assert output(job_id).startswith(f"{pwd.getpwnam(USER).pw_uid}\n"), output(job_id)
    assert "Read-only file system" in output(job_id) or "Permission denied" in output(job_id), output(job_id)


def the_exit_code_is_the_jobs():
    ends(submit(wrap="exit 9"), "FAILED", 9)


def ranks_are_launched():
    done = sh("slipway launch -n 2 --mpi=none --image tiny -- sh -c 'echo rank $SLURM_PROCID'", USER)
    equal(sorted(done.stdout.split()), ["0", "1", "rank", "rank"])


def step_cgroups_live_under_the_steps_unit():
    job_id, go = waiting_job("-c", "1", "--mem", "200M")
    tasks = tasks_cgroup(job_id)
    equal((tasks / "memory.max").read_text().strip(), str(200 << 20))
    equal((tasks / "cpu.max").read_text().strip(), "100000 100000")
    equal((tasks / "pids.max").read_text().strip(), "64")
    for unit in UNITS[1:]:
        pids = (STEPS.parent / f"{unit}.service/cgroup.procs").read_text().split()
        equal(len(pids), 1)
    go.touch()
    ends(job_id, "FAILED", 23)
    wait_until("the job's cgroup is gone", lambda: not list(STEPS.glob(f"{job_id}.*")), 60)


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
    wait_until("its processes are gone", lambda: sh(f"pgrep -u {USER} sleep", check=False).stdout == "", 60)


def the_cpu_limit_bites():
    go = HOME / "spin"
    job_id = submit("-c", "1", wrap="echo up; for i in 1 2; do (timeout 4 sh -c 'while :; do :; done') & done; wait")
    wait_until("it runs", lambda: "up" in output(job_id))
    stat, most = tasks_cgroup(job_id) / "cpu.stat", 0.0

    def used():
        return int(dict(line.split() for line in stat.read_text().splitlines())["usage_usec"]) / 1e6
    begin, at = used(), time.monotonic()
    time.sleep(2)
    most = (used() - begin) / (time.monotonic() - at)
    ended(job_id)
    assert 0.3 < most < 1.25, f"{most:.2f} cores used"
    return f"{most:.2f} cores used by two spinning processes on one core"


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
    pid = (tasks / "cgroup.procs").read_text().split()[-1]
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
    wait_until("it is frozen", lambda: "frozen 1" in (tasks / "cgroup.events").read_text(), 60)
    go.touch()
    equal(job(job_id)["state"], "RUNNING")
    sh(f"slipway cancel --signal CONT {job_id}", USER)
    ends(job_id, "FAILED", 23)
    job_id, _ = waiting_job()
    sh(f"slipway cancel --signal STOP {job_id}", USER)
    sh(f"slipway cancel {job_id}", USER)
    equal(ended(job_id, 60)["state"], "CANCELLED")


def a_device_opens_only_for_who_was_given_it():
    """A node that anybody may open by its mode; its number is that of /dev/loop-control."""
    sh("modprobe loop; rm -f /dev/fenced; mknod -m 666 /dev/fenced c 10 237")
    wrap = "(: < /dev/fenced) && echo opened; (: < /dev/null) && echo null"
    refused = submit("--bind", "/dev/fenced", wrap=wrap)
    ends(refused, "COMPLETED", 0)
    equal([line for line in output(refused).splitlines() if line in ("opened", "null")], ["null"])
    assert "not permitted" in output(refused), output(refused)
    pathlib.Path("/etc/cdi").mkdir(exist_ok=True)
    pathlib.Path("/etc/cdi/vm.json").write_text(json.dumps(
        {"cdiVersion": "0.6.0", "kind": "vm.test/fenced",
         "devices": [{"name": "0", "containerEdits": {"deviceNodes": [{"path": "/dev/fenced"}]}}]}))
    given = submit("--device", "vm.test/fenced=0", wrap=wrap)
    ends(given, "COMPLETED", 0)
    assert "opened" in output(given), output(given)
    pathlib.Path("/etc/cdi/vm.json").unlink()


def nothing_is_beyond_this_node():
    """hugetlb and io may be a kernel's to lack; what is lacking is said."""
    node = json.loads(sh("slipway nodes --json", USER).stdout)["nodes"][0]
    for limit in ("memory", "pids", "cpu", "cpuset", "devices", "processes"):
        assert not any(what.startswith(f"{limit}:") for what in node["cannot"]), node["cannot"]
    return f"cannot: {node['cannot']}"


def a_users_own_container_is_limited():
    """No scheduler: the user's systemd makes a scope. It is reached although nobody logged in by ssh, and without a message bus."""
    image, uid = "/var/tmp/image", pwd.getpwnam(USER).pw_uid
    done = sh(f"slipway exec --memory 64M {image} true", USER, check=False)
    equal(done.returncode, 125)
    assert "a systemd of your own" in done.stderr, done.stderr
    sh(f"loginctl enable-linger {USER}")
    wait_until("the user's systemd is up", lambda: pathlib.Path(f"/run/user/{uid}/systemd/private").exists(), 120)
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
    wait_until("its scope is gone", lambda: not list(pathlib.Path("/sys/fs/cgroup/user.slice").rglob("slipway-*.scope")), 60)
    refused = sh(f"slipway exec --cpuset-cpus 0 {image} true", USER, check=False)  # Debian delegates all but that to users
    sh(f"loginctl disable-linger {USER}")
    wait_until("the user's systemd has gone", lambda: sh(f"pgrep -u {USER}", check=False).stdout == "", 120)
    return f"cpuset: {refused.returncode} {refused.stderr.strip()}"


PROFILE = """
profile slipway-vm flags=(attach_disconnected, mediate_deleted) {
  file,
  capability,
  signal,
  ptrace,
  unix,
  network,
  deny /tmp/forbidden r,
}
"""


def a_layer_over_an_image_that_this_kernel_cannot_map_says_so():
    """Debian 12's squashfs takes no map of ids: root's files in the store's image stay root's, and the user is told."""
    job_id = submit("--writable-tmpfs", wrap="echo x > /tmp/made && cat /tmp/made; test -O /bin || echo not mine")
    ends(job_id, "COMPLETED", 0)
    told = output(job_id)
    assert "x\nnot mine" in told and "Linux 6.2 or newer" in told, told


def an_apparmor_profile_confines():
    """Debian's kernel has AppArmor. The label is on the program in the container, and what cannot be had is refused."""
    equal(pathlib.Path("/sys/module/apparmor/parameters/enabled").read_text().strip(), "Y")
    profile = pathlib.Path("/etc/apparmor.d/slipway-vm")
    profile.write_text(PROFILE)
    sh(f"apparmor_parser -r {profile}")
    (HOME / "forbidden").write_text("secret\n")
    for way in ("brokered", "rootless"):
        start = f"slipway exec --way {way} --bind {HOME}:/tmp"
        label = sh(f"{start} --security apparmor:slipway-vm /var/tmp/image cat /proc/self/attr/current", USER).stdout
        equal(label, "slipway-vm (enforce)\n")
        equal(sh(f"{start} /var/tmp/image cat /tmp/forbidden", USER).stdout, "secret\n")
        denied = sh(f"{start} --security apparmor:slipway-vm /var/tmp/image cat /tmp/forbidden", USER, check=False)
        assert denied.returncode == 1 and "Permission denied" in denied.stderr, f"{way}: {denied}"
        unknown = sh(f"{start} --security apparmor:nobodys /var/tmp/image true", USER, check=False)
        assert unknown.returncode == 125 and "AppArmor label 'nobodys'" in unknown.stderr, f"{way}: {unknown}"
    sh(f"apparmor_parser -R {profile}")


def an_selinux_label_confines():
    """The second boot has SELinux in AppArmor's place, without a policy until now."""
    image = "/var/tmp/image"
    sh("checkpolicy -U allow -c 33 -o /run/policy /mnt/site/selinux.conf")
    pathlib.Path("/sys/fs/selinux/load").write_bytes(pathlib.Path("/run/policy").read_bytes())
    pathlib.Path("/sys/fs/selinux/enforce").write_text("1")
    (HOME / "written").write_text("whole\n")
    sh(f"chown {USER} {HOME}/written")
    write = "sh -c 'echo changed > /tmp/written'"
    for way in ("brokered", "rootless"):
        start = f"slipway exec --way {way} --bind {HOME}:/tmp"
        security = f"{start} --security selinux:system_u:system_r:"
        label = sh(f"{security}contained_t {image} cat /proc/self/attr/current", USER).stdout
        equal(label.strip("\0\n"), "system_u:system_r:contained_t")
        denied = sh(f"{security}contained_t {image} {write}", USER, check=False)
        assert denied.returncode != 0 and "Permission denied" in denied.stderr, f"{way}: {denied}"
        equal((HOME / "written").read_text(), "whole\n")
        sh(f"{start} {image} {write} && echo whole > {HOME}/written", USER)
        unknown = sh(f"{security}nobodys_t {image} true", USER, check=False)
        assert unknown.returncode == 125 and "SELinux label 'system_u:system_r:nobodys_t'" in unknown.stderr, f"{way}: {unknown}"
        refused = sh(f"{security}refused_t {image} true", USER, check=False)
        assert refused.returncode in (125, 126) and refused.stderr, f"{way}: {refused}"
        told = refused.stderr.strip()
    a_job_runs_in_a_container()
    pathlib.Path("/sys/fs/selinux/enforce").write_text("0")
    return told


def survives_restart_of(unit):
    def check():
        job_id, go = waiting_job()
        sh(f"systemctl restart {unit}")
        units_are_up()
        equal(job(job_id)["state"], "RUNNING")
        go.touch()
        ends(job_id, "FAILED", 23)
    check.__name__ = f"a_job_survives_restart_of_{unit}"
    return check


def a_job_survives_daemon_reload_and_kill_of_all():
    job_id, go = waiting_job()
    sh("systemctl daemon-reload; systemctl kill -s KILL slipwayd slipway-agent slipway-broker")
    go.touch()
    units_are_up()
    ends(job_id, "FAILED", 23)


def users_read_no_secret():
    for path in [*ETC.glob("*.key"), *ETC.glob("nodes/*.key"), *pathlib.Path("/run/credentials").glob("slip*/*")]:
        assert sh(f"cat {path}", USER, check=False).returncode != 0, f"{path} is readable"
    for folder in ("/var/lib/slipway/controller", "/var/lib/slipway/agent"):
        assert sh(f"ls {folder}", USER, check=False).returncode != 0, f"{folder} is readable"
    for path in ("/run/slipway/holder.sock", "/run/slipway/broker.sock"):
        code = f"import socket; socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET).connect('{path}')"
        assert sh(f'python3 -c "{code}"', USER, check=False).returncode != 0, f"{path} can be connected to"


def the_agents_account_cannot_exchange_what_the_broker_trusts():
    for path in ("/var/lib/slipway", "/run/slipway", "/etc/slipway", "/var/lib/slipway/client/bin"):
        assert sh(f"touch {path}/x", "slipway", check=False).returncode != 0, f"{path} can be written by slipway"


def nothing_is_left():
    wait_until("no step's cgroup", lambda: [p.name for p in STEPS.iterdir() if p.is_dir()] == ["holder"], 60)
    equal(sh(f"pgrep -u {USER}", check=False).stdout, "")
    failed = sh("systemctl --failed --no-legend --plain").stdout
    assert not failed.strip(), failed


FIRST_BOOT = [installs, units_come_up, nothing_restarted, all_limits_are_held, an_image_is_imported, a_job_runs_in_a_container,
              the_exit_code_is_the_jobs, ranks_are_launched, step_cgroups_live_under_the_steps_unit,
              the_memory_limit_bites, memory_used_up_by_a_child_is_told_too, a_fork_bomb_stays_in_its_job, the_cpu_limit_bites,
              out_of_memory_takes_the_whole_step, what_a_step_used_is_kept, ranks_see_the_cpuset_of_their_job,
              a_stopped_job_is_frozen_and_goes_on, a_device_opens_only_for_who_was_given_it, nothing_is_beyond_this_node,
              a_users_own_container_is_limited, a_layer_over_an_image_that_this_kernel_cannot_map_says_so,
              an_apparmor_profile_confines,
              *map(survives_restart_of, ["slipway-agent", "slipway-broker", "slipwayd"]),
              a_job_survives_daemon_reload_and_kill_of_all, users_read_no_secret,
              the_agents_account_cannot_exchange_what_the_broker_trusts, nothing_is_left]


def until_the_lights_go_out():
    """Two running jobs, then submissions without end; the driver kills the machine among them."""
    boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    wrap = f"echo up; [ $(cat /proc/sys/kernel/random/boot_id) != {boot} ] || sleep 600"
    lost, again = (submit("-c", "1", "--mem", "100M", option, wrap=wrap) for option in ("--no-requeue", "--requeue"))
    for job_id in (lost, again):
        wait_until(lambda: f"{job(job_id)} runs", lambda: "up" in output(job_id))
    say("lost", lost)
    say("again", again)
    while True:
        done = sh("slipway submit --parsable --image tiny --begin now+2hours -o /dev/null --wrap true", USER)
        say("ack", int(done.stdout.split(";")[0]))


def second_boot(facts):
    def every_acknowledged_job_is_there():
        for job_id in facts["acks"]:
            equal(job(job_id)["state"], "PENDING")
        return f"{len(facts['acks'])} jobs"

    def a_job_that_the_power_loss_ended_is_NODE_FAIL():
        equal(ended(facts["lost"])["state"], "NODE_FAIL")

    def one_that_may_be_requeued_runs_again():
        ends(facts["again"], "COMPLETED", 0)
    return [units_are_up, nothing_restarted, every_acknowledged_job_is_there, a_job_that_the_power_loss_ended_is_NODE_FAIL,
            one_that_may_be_requeued_runs_again, a_job_runs_in_a_container,
            an_selinux_label_confines, nothing_is_left]


def run(checks):
    good = True
    for check in checks:
        began = time.monotonic()
        try:
            detail = check() or ""
            say("ok", check.__name__, f"({time.monotonic() - began:.1f} s)", detail)
        except Exception as error:  # a check that fails must not keep the next from telling something
            good = False
            say("FAILED", f"{check.__name__}:", error if isinstance(error, AssertionError) else traceback.format_exc())
            if check in (installs, units_come_up, an_image_is_imported):
                break
    if not good:
        for line in sh("journalctl --no-pager -o short-monotonic -u 'slipway*' | tail -n 120", check=False).stdout.splitlines():
            say("log", line)
    return good


def main():
    words = dict(word.split("=", 1) for word in pathlib.Path("/proc/cmdline").read_text().split() if word.startswith("vm."))
    if words["vm.phase"] == "1":
        good = run(FIRST_BOOT)
        say("done", 1)
        if good:
            until_the_lights_go_out()
    else:
        run(second_boot({"lost": int(words["vm.lost"]), "again": int(words["vm.again"]),
                         "acks": [int(i) for i in words["vm.acks"].split(",")]}))
        say("done", 2)


if __name__ == "__main__":
    try:
        main()
    except Exception:
        say("FAILED", "guest.py:", traceback.format_exc())
    subprocess.run(["systemctl", "--no-block", "poweroff"])
