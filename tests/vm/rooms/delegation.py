# SPDX-License-Identifier: Apache-2.0
"""Where no unit holds the steps, systemd is asked over sd-bus for a scope that is delegated: `slipway dev up`, a user's and root's."""
import json
import pathlib
import pwd

from rooms.hands import equal, sh, wait_until
from rooms.rootless import WHO, hers, job_of_hers

TREE = pathlib.Path("/sys/fs/cgroup")


def scopes_below(slice_):
    return [scope for scope in slice_.glob("slipway-cluster-*.scope") if scope.is_dir()]


def the_scope_below(slice_):
    found = scopes_below(slice_)
    equal(len(found), 1)
    return found[0]


def holds_the_daemons_and_nothing_else(scope):
    equal((scope / "cgroup.procs").read_text(), "")
    assert (scope / "daemons" / "cgroup.procs").read_text(), scope


def a_users_cluster_without_units_has_its_cgroups_from_his_systemd():
    uid = pwd.getpwnam(WHO).pw_uid
    slice_ = TREE / f"user.slice/user-{uid}.slice/user@{uid}.service/app.slice"
    hers("slipway dev up --nodes 1")
    holds_the_daemons_and_nothing_else(the_scope_below(slice_))
    done, out = job_of_hers("-c", "1", "--mem", "64M", wrap="cat /proc/self/cgroup; exec tail /dev/zero")
    assert done["state"] == "OUT_OF_MEMORY", (done, out)
    assert "app.slice/slipway-cluster-" in out and ".scope/slipway-" in out, out
    node = json.loads(hers("slipway nodes --json").stdout)["nodes"][0]
    assert not {"memory", "pids", "cpu"} & {what.split(":")[0] for what in node["cannot"]}, node["cannot"]
    hers("slipway dev down")
    wait_until("her scope is gone", lambda: not scopes_below(slice_))


def roots_cluster_without_units_leaves_systemds_tree_to_systemd():
    top = {path.name for path in TREE.iterdir()}
    sh("HOME=/root slipway dev up --nodes 1")
    scope = the_scope_below(TREE / "system.slice")
    holds_the_daemons_and_nothing_else(scope)
    equal({path.name for path in TREE.iterdir()}, top)
    assert [path for path in scope.glob("slipway-*/") if (path / "memory.max").exists()], list(scope.iterdir())
    sh("HOME=/root slipway dev down")
    wait_until("its scope is gone", lambda: not scopes_below(TREE / "system.slice"))
