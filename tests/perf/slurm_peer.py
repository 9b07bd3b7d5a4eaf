# SPDX-License-Identifier: Apache-2.0
"""A real Slurm on this machine to compare with, in namespaces that are made and removed here.

Debian's packages slurm-wlm, slurm-wlm-basic-plugins and munge; slurmctld sits in a network namespace of its own with a
bridge, each slurmd in network, UTS and mount namespaces (own host name, /tmp, /dev/shm), like the nodes of a dev cluster.
"""
import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

CONF = """ClusterName=peer
SlurmctldHost=ctl(10.78.0.254)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={dir}/munge.sock
StateSaveLocation={dir}/state
SlurmdSpoolDir={dir}/spool/%n
SlurmctldPidFile={dir}/ctld.pid
SlurmdPidFile={dir}/%n.pid
SlurmctldLogFile={dir}/ctld.log
SlurmdLogFile={dir}/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SchedulerType=sched/backfill
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_min_interval=0,batch_sched_delay=0
MaxJobCount=100000
AccountingStorageType=accounting_storage/none
MpiDefault=none
ReturnToService=2
MailProg=/bin/true
SlurmdParameters=config_overrides
NodeName=p[1-{nodes}] NodeAddr=10.78.0.[1-{nodes}] CPUs={cpus} RealMemory=2000 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


class SlurmPeer:
    @staticmethod
    def missing():
        tools = [t for t in ("slurmctld", "slurmd", "srun", "munged") if shutil.which(t) is None]
        return f"not installed: {', '.join(tools)} (slurm-wlm, munge)" if tools else None

    def __init__(self, nodes=4, cpus=8):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="slurm-peer-", dir="/var/tmp"))
        self.tag = f"sp{os.getpid() % 10000}"
        self.spaces = [f"{self.tag}c"] + [f"{self.tag}n{i}" for i in range(1, nodes + 1)]
        self.pids = []
        self.nodes = nodes
        os.chmod(self.dir, 0o755)
        for sub in ("state", "spool"):
            (self.dir / sub).mkdir()
        (self.dir / "slurm.conf").write_text(CONF.format(dir=self.dir, nodes=nodes, cpus=cpus))
        try:
            self._up()
        except BaseException:
            self.down()
            raise

    def _ip(self, *argv):
        subprocess.run(["ip", *argv], check=True, capture_output=True)

    def _up(self):
        control = self.spaces[0]
        self._ip("netns", "add", control)
        self._ip("-n", control, "link", "set", "lo", "up")
        self._ip("-n", control, "link", "add", "name", "pbr0", "type", "bridge")
        self._ip("-n", control, "addr", "add", "10.78.0.254/24", "dev", "pbr0")
        self._ip("-n", control, "link", "set", "pbr0", "up")
        (self.dir / "munge.key").write_bytes(os.urandom(1024))
        os.chmod(self.dir / "munge.key", 0o400)
        (self.dir / "m").mkdir(mode=0o711)
        self.pids.append(subprocess.Popen(["munged", "--foreground", "--force", f"--key-file={self.dir}/munge.key", f"--socket={self.dir}/munge.sock",
                                           f"--pid-file={self.dir}/m/pid", f"--log-file={self.dir}/m/log", f"--seed-file={self.dir}/m/seed"],
                                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        self._start(control, "ctl", "slurmctld -D -c")
        for i, space in enumerate(self.spaces[1:], 1):
            self._ip("netns", "add", space)
            self._ip("-n", control, "link", "add", f"v{i}", "type", "veth", "peer", "name", "eth0", "netns", space)
            self._ip("-n", control, "link", "set", f"v{i}", "master", "pbr0", "up")
            self._ip("-n", space, "addr", "add", f"10.78.0.{i}/24", "dev", "eth0")
            self._ip("-n", space, "link", "set", "eth0", "up")
            self._ip("-n", space, "link", "set", "lo", "up")
            self._start(space, f"p{i}", f"slurmd -D -N p{i}", mounts=True)
        deadline = time.monotonic() + 60
        while self.run(["sinfo", "-h", "-t", "idle", "-o", "%D"]).stdout.strip() != str(self.nodes):
            if time.monotonic() > deadline:
                raise RuntimeError(f"Slurm's nodes did not come up; see {self.dir}")
            time.sleep(0.2)

    def _start(self, space, host, command, mounts=False):
        private = "for d in /tmp /dev/shm; do mount -t tmpfs none $d && chmod 1777 $d; done; " if mounts else ""
        self.pids.append(subprocess.Popen(
            ["nsenter", f"--net=/run/netns/{space}", "unshare", "-m", "-u", "--propagation", "private", "sh", "-c",
             f"hostname {host}; {private}exec {command}"], env=self.env(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))

    def env(self):
        return dict(os.environ, SLURM_CONF=str(self.dir / "slurm.conf"))

    def prefix(self):
        """What stands before a Slurm command so that it reaches this Slurm."""
        # Not `ip netns exec`: that mounts a new /sys, without the cgroups that slurmd looks for.
        return ["nsenter", f"--net=/run/netns/{self.spaces[0]}", "env", f"SLURM_CONF={self.dir}/slurm.conf"]

    def run(self, argv, **options):
        return subprocess.run([*self.prefix(), *map(str, argv)], capture_output=True, text=True, timeout=300, cwd="/", **options)

    def down(self):
        for space in self.spaces[1:] + self.spaces[:1]:
            pids = subprocess.run(["ip", "netns", "pids", space], capture_output=True, text=True).stdout.split()
            for pid in pids:
                with contextlib.suppress(OSError):
                    os.kill(int(pid), signal.SIGKILL)
        for process in self.pids:
            process.kill()
            process.wait()
        for space in self.spaces:
            subprocess.run(["ip", "netns", "del", space], capture_output=True)
        shutil.rmtree(self.dir, ignore_errors=True)
