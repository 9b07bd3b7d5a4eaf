# SPDX-License-Identifier: Apache-2.0
"""Slipway installed as a site would, its units, and what nobody else may reach."""
import json
import os
import pathlib
import pwd
import re
import shutil

from rooms.hands import ETC, STEPS, UNITS, USER, USUAL, equal, sh, units_are_up, wait_until

SITE = pathlib.Path("/mnt/site")
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
job_cgroup = {job_cgroup}
[agent]
node = "vm"
controller = "127.0.0.1:6821"
listen = "127.0.0.1:6822"
cert = "/etc/slipway/nodes/vm.crt"
key = "/run/credentials/slipway-agent.service/node.key"
client_dir = "/var/lib/slipway/client"
token_socket = "/var/lib/slipway/client/token/token.sock"
folder_timeout = "10s"
health_interval = "2s"
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

def installs():
    shutil.copytree(SITE / "stage/usr", "/usr", dirs_exist_ok=True, symlinks=True)
    sh("systemctl daemon-reload; systemd-sysusers && systemd-tmpfiles --create slipway.conf")
    sh("slipway init /etc/slipway --name vm && slipway init /etc/slipway --node vm")
    cluster_id = (ETC / "cluster-id").read_text().strip()
    (ETC / "slipway.toml").write_text(SETTINGS.format(id=cluster_id, job_cgroup=json.dumps(USUAL)))
    (ETC / "starter.conf").write_text(BROKER.format(id=cluster_id, slipway=pwd.getpwnam("slipway"),
                                                    importer=pwd.getpwnam("slipway-import")))
    (ETC / "context.toml").write_text(CONTEXT)
    pathlib.Path("/var/lib/slipway/client/context.toml").write_text(INSIDE)


def units_come_up():
    sh(f"systemctl enable --now {' '.join(UNITS)}")
    units_are_up()
    return sh("systemctl --version | head -1").stdout.strip() + ", Linux " + os.uname().release


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


def the_host_check_is_content():
    """As the unit runs it; what it says of a machine without a clock to follow is a warning with its cure."""
    done = sh("slipway-agent --config /etc/slipway/slipway.toml --check", "slipway", check=False)
    assert done.returncode == 0, f"{done.returncode}: {done.stdout} {done.stderr}"
    assert "cgroups: version 2 with all controllers" in done.stdout and "account slipway: there" in done.stdout, done.stdout
    assert "kernel log: the agent's unit is given it" in done.stdout, done.stdout
    assert "clock: the kernel does not know it to be synchronised" not in done.stdout or "run chrony" in done.stdout, done.stdout
    return [line for line in done.stdout.splitlines() if "bad" in line.lower() or "warn" in line.lower()]


def the_daemons_are_hardly_exposed():
    """By systemd's own measure of the units that run."""
    found = {}
    for unit in ("slipwayd", "slipway-agent"):
        text = sh(f"systemd-analyze --no-pager security {unit}.service").stdout
        found[unit] = float(re.search(r"Overall exposure level for \S+: ([0-9.]+)", text).group(1))
    assert max(found.values()) <= 2.0, found
    return found


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
    wait_until("no step's cgroup", lambda: [p.name for p in STEPS.iterdir() if p.is_dir()] == ["holder"])
    equal(sh(f"pgrep -u {USER}", check=False).stdout, "")
    failed = sh("systemctl --failed --no-legend --plain").stdout
    assert not failed.strip(), failed
