# SPDX-License-Identifier: Apache-2.0
"""What the scripts of this folder share: an account of their own, a cluster of two virtual nodes on which it runs batch scripts,
and Open MPI's own mpirun over these two nodes, each daemon of it in a container of the job's image: what a program is compared
with that shall run the same under this host."""
import contextlib
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import slipway_testing as t

# What mpirun calls instead of ssh: "enter HOST COMMAND…". The command's words are quoted for a shell already.
ENTER = """#!/bin/sh
host=$1
shift
exec slipway launch -N2 -n2 --mpi=none -- sh -c '[ "$SLIPWAY_NODE" = "$0" ] || exit 0; eval "$1"' "$host" "$*"
"""
# Its daemons must not part from their steps, and the nodes' own network is the only one. The transports are those that this host
# leaves. Whether ranks yield is for whoever runs the program on both sides to say (YIELD): mpirun passes it on.
OPENMPI_4 = ("--oversubscribe --bind-to none --leave-session-attached --mca plm_rsh_agent {enter} --mca oob_tcp_if_include eth0 "
             "--mca btl ^openib,uct,ofi,usnic --host n1:{here},n2:{here} -n {all}")
OPENMPI_5 = ("--map-by :OVERSUBSCRIBE --bind-to none --leave-session-attached --prtemca plm_ssh_agent {enter} "
             "--prtemca prte_if_include eth0 --mca btl ^uct,ofi,usnic --host n1:{here},n2:{here} -n {all}")

# "Nodes" that are one machine have more ranks than processors, which this host does not know. (On Linux 6.18 a rank that yields gets
# next to nothing of a processor that other programs want too: on a busy machine ranks want a niceness of root's, or patience.)
YIELD = "export OMPI_MCA_mpi_yield_when_idle=1"


class TwoNodes:
    """The cluster, and its user's home, which both nodes have."""

    def __init__(self, cluster, entry):
        self.cluster, self.home, self._entry, self._added = cluster, pathlib.Path(entry.pw_dir), entry, set()

    def add(self, image):
        """Has the image of images/IMAGE.def in the catalogue; built where it is not there."""
        if image not in self._added:
            self.cluster("image", "add", t.image(image), image, check=0, timeout=300)
            self._added.add(image)

    def own(self, folder):
        """Gives the user what root has put there."""
        t.run(["chown", "-R", f"{self._entry.pw_uid}:{self._entry.pw_gid}", folder], check=0)

    def batch(self, image, *lines, name="run", nodes=2, cpus=16, timeout=1800):
        """Runs a batch script of these lines, in the home, in an allocation of `cpus` cores on `nodes`; its exit code and what it
        wrote. The job is cancelled where it has not ended after `timeout` seconds: then the code is 124."""
        self.add(image)
        script, output = self.home / f"{name}.sh", self.home / f"{name}.out"
        script.write_text("#!/bin/sh\ncd $HOME\n" + "\n".join(lines) + "\n")
        job = self.cluster.submit(f"-N{nodes}", f"-n{cpus}", "--image", image, "--output", output, str(script))
        try:
            code = self.cluster.wait_end(job, timeout)["exit_code"]
        except AssertionError:
            self.cluster("cancel", job, check=0)
            self.cluster.wait_end(job, 120)
            code = 124
        return code, output.read_text(errors="replace")

    def mpirun(self, ranks_per_node, version=4):
        """The words before a program, for a batch script of an allocation of both nodes; of that version of Open MPI."""
        enter = self.home / "enter"
        enter.write_text(ENTER)
        enter.chmod(0o755)
        words = OPENMPI_4 if version == 4 else OPENMPI_5
        return "mpirun " + words.format(enter=enter, here=ranks_per_node, all=2 * ranks_per_node)


@contextlib.contextmanager
def two_nodes(cores=8):
    """A TwoNodes of `cores` a node; cluster and account are gone afterwards."""
    account = t.Account("slipway-mpi")
    cluster = None
    try:
        cluster = t.Cluster(nodes=2, user=account.entry, cores=cores)
        yield TwoNodes(cluster, account.entry)
    finally:
        if cluster:
            cluster.down()
        account.remove()
