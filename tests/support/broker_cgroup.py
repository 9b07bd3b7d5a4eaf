# SPDX-License-Identifier: Apache-2.0
"""The cgroup that a broker without the setting `cgroup` makes for its node's steps, beside its own. It outlives the broker,
as steps do: who ends a node for good removes it."""
import contextlib
import hashlib
import pathlib


def remove(cluster, node, run_dir):
    """Fails when a step is left in it."""
    name = "slipway-" + hashlib.sha256(f"{cluster}\n{node}\n{run_dir}".encode()).hexdigest()[:12]  # launcher/broker/cgroups.cc
    own = [line[3:] for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::/")]
    mounts = [line.split() for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines() if " - cgroup2 " in line]
    for point in {fields[4] for fields in mounts if fields[3] == "/"} if own else ():
        with contextlib.suppress(FileNotFoundError):
            pathlib.Path(f"{point}{own[0].rpartition('/')[0]}/{name}").rmdir()
