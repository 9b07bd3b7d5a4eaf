# SPDX-License-Identifier: Apache-2.0
"""Open MPI's own mpirun over two nodes of an allocation, each daemon of it in a container of the job's image: what a program
is compared with that shall run the same under this host."""

# What mpirun calls instead of ssh: "enter HOST COMMAND…". The command's words are quoted for a shell already.
ENTER = """#!/bin/sh
host=$1
shift
exec slipway launch -N2 -n2 --mpi=none -- sh -c '[ "$SLIPWAY_NODE" = "$0" ] || exit 0; eval "$1"' "$host" "$*"
"""


def mpirun(home, ranks_per_node):
    """The words before a program, for a batch script of an allocation of the nodes n1 and n2; `home` is on both."""
    enter = home / "enter"
    enter.write_text(ENTER)
    enter.chmod(0o755)
    # Its daemons must not part from their steps, and the nodes' own network is the only one. The last two are what this host sets:
    # "nodes" that are one machine have more ranks than processors, and no transports but these.
    return (f"mpirun --oversubscribe --bind-to none --leave-session-attached --mca plm_rsh_agent {enter} --mca oob_tcp_if_include eth0 "
            "--mca mpi_yield_when_idle 1 --mca btl ^openib,uct,ofi,usnic "
            f"--host n1:{ranks_per_node},n2:{ranks_per_node} -n {2 * ranks_per_node}")
