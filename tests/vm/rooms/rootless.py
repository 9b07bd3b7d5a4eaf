# SPDX-License-Identifier: Apache-2.0
"""A cluster of one user by his own systemd, beside the system's: its units, its limits, and what it says that it cannot hold."""
import json
import pathlib
import pwd

from rooms.hands import equal, sh, wait_until

WHO = "carol"
UNITS = "slipway-steps slipway-broker slipwayd slipway-agent"


def hers(command, check=True):
    uid = pwd.getpwnam(WHO).pw_uid
    return sh(f"cd ~{WHO} && setpriv --reuid {WHO} --regid {WHO} --init-groups env -i HOME=/home/{WHO} USER={WHO} PATH=/usr/bin:/bin "
              f"XDG_RUNTIME_DIR=/run/user/{uid} DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/{uid}/bus {command}", check=check)


def node_is_up():
    return '"state":"UP"' in hers("slipway nodes --json", check=False).stdout.replace(" ", "")


def job_of_hers(*options, wrap):
    script = pathlib.Path(f"/home/{WHO}/job.sh")
    script.write_text(f"#!/bin/sh\n{wrap}\n")
    job_id = int(hers(f"slipway submit --parsable --image /home/{WHO}/image -o out-%j {' '.join(options)} {script}").stdout.split(";")[0])
    ended = wait_until(lambda: hers(f"slipway job --json {job_id}").stdout,
                       lambda: (lambda j: j if j["ended"] else None)(json.loads(hers(f"slipway job --json {job_id}").stdout)))
    out = pathlib.Path(f"/home/{WHO}/out-{job_id}")
    return ended, out.read_text() if out.exists() else ""


def a_users_own_cluster_runs_by_his_systemd():
    sh(f"useradd --create-home --shell /bin/sh {WHO}; loginctl enable-linger {WHO}; cp -a /var/tmp/image ~{WHO}/image; chown -R {WHO}: ~{WHO}/image")
    wait_until("her systemd is up", lambda: pathlib.Path(f"/run/user/{pwd.getpwnam(WHO).pw_uid}/systemd/private").exists())
    hers("slipway init /home/carol/.config/slipway --rootless")
    settings = pathlib.Path(f"/home/{WHO}/.config/slipway/slipway.toml")
    settings.write_text(settings.read_text().replace("[controller]\n", "[controller]\nprocesses_per_core_max = 64\n"))
    hers(f"systemctl --user enable --now {UNITS}")
    wait_until(lambda: hers("journalctl --user --no-pager -n 30", check=False).stdout,
               node_is_up)
    for unit in UNITS.split():
        equal((unit, hers(f"systemctl --user show -P NRestarts {unit}").stdout.strip()), (unit, "0"))
    done, out = job_of_hers("-c", "1", wrap="id -un; cat /proc/self/cgroup; exit 6")
    equal((done["state"], done["exit_code"]), ("FAILED", 6))
    assert "app.slice/slipway-steps.service/" in out and WHO in out, out


def its_limits_hold_as_far_as_the_system_delegates():
    done, _ = job_of_hers("-c", "1", "--mem", "64M", wrap="exec tail /dev/zero")
    equal(done["state"], "OUT_OF_MEMORY")
    done, out = job_of_hers("-c", "1", wrap="n=0; while [ $n -lt 300 ]; do sleep 60 & n=$((n+1)); done; wait")
    equal(done["state"], "FAILED")
    assert "ork" in out, out
    node = json.loads(hers("slipway nodes --json").stdout)["nodes"][0]
    cannot = {what.split(":")[0] for what in node["cannot"]}
    assert {"cpuset", "devices"} <= cannot, node["cannot"]
    assert not {"memory", "pids", "cpu"} & cannot, node["cannot"]
    said = hers("journalctl --user --no-pager -u slipway-agent").stdout
    assert "cannot hold a limit" in said and "cpuset" in said, said
    return f"cannot: {node['cannot']}"


def it_outlives_its_daemons_and_goes_with_its_units():
    hers("systemctl --user restart slipway-agent slipway-broker slipwayd")
    wait_until("the node is back", node_is_up)
    done, _ = job_of_hers("-c", "1", wrap="exit 7")
    equal(done["exit_code"], 7)
    hers(f"systemctl --user disable --now {UNITS}")


def nothing_of_hers_is_left():
    sh(f"loginctl disable-linger {WHO}")
    wait_until("nothing of hers runs", lambda: sh(f"pgrep -u {WHO}", check=False).stdout == "")
