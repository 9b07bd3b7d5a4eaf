#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the design rests on and no other test shows (docs/security-tests.md has the whole table): containers in
containers, an image's server that stands still, who gets into a running container, sockets without a file.
"""
import contextlib
import ctypes
import os
import pathlib
import shutil
import signal
import subprocess
import unittest

import phases_test
import slipway_testing as t
import starts
from left import leave_the_hosts_mounts

CLONE_NEWUSER, CLONE_NEWNS = 0x10000000, 0x20000
PR_SET_DUMPABLE = 4
KEYCTL, ADD_KEY, JOIN_SESSION_KEYRING, SESSION = 250, 248, 1, -3


def is_image_server(name):
    return name.startswith(("slipway-squashf", "squashfuse"))  # ours, or Debian's where ours is missing


@t.need_root
class RunningContainers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        leave_the_hosts_mounts()
        cls.site = starts.Site(cls)
        # What we start has this keyring: the broker too.
        if starts.LIBC.syscall(KEYCTL, JOIN_SESSION_KEYRING, None) < 0 or starts.LIBC.syscall(ADD_KEY, b"user", b"slipway-test-of-root", b"x", 1, SESSION) < 0:
            raise OSError(ctypes.get_errno(), "a keyring of our own")
        cls.ways = starts.ways(cls, cls.site)
        for way in cls.ways:
            for image in way.images().values():
                cls.begin(way, image, cls.site.probe()).finish()

    @classmethod
    def begin(cls, way, image, command, options=(), **more):
        user = cls.site.user
        return starts.start(way.argv(image, command, options), uid=user.pw_uid, gid=user.pw_gid, env=cls.site.env(), cwd="/tmp", **more)

    @contextlib.contextmanager
    def running(self, way, image):
        before = self.site.left().before()
        front = self.begin(way, image, ["/bin/probe", "wait"])
        self.assertEqual(os.read(front.out, 3), b"up\n")
        try:
            yield front
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(front.pid, signal.SIGKILL)
            front.finish()
            self.assertEqual(self.site.left().settles(before), "")

    def processes(self):
        """pid: name of the user's processes that are in another user namespace than this one."""
        found, ours = {}, os.readlink("/proc/self/ns/user")
        for proc in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if self.site.user.pw_uid in self.site.left().uids(proc) and os.readlink(proc / "ns/user") != ours:
                    found[int(proc.name)] = (proc / "comm").read_text().strip()
        return found

    def test_nobody_outside_gets_hold_of_a_container_that_root_made(self):
        for way in self.ways:
            hunters = [self.site.other] if way.name == "rootless" else [self.site.other, self.site.user]
            for image in way.images().values():
                with self.subTest(f"{way.name} {image}"), self.running(way, image):
                    processes = self.processes()
                    self.assertGreaterEqual(len(processes), 2)
                    for pid, name in processes.items():
                        for who in hunters:
                            self.assertEqual(phases_test.as_user(who, lambda p=pid: phases_test.tries(p)), "", (who.pw_name, name))

    def test_ghsa_mmx5_nothing_of_a_start_stays_root(self):
        """Once the container stands, whatever the front started is the user's, without any capability towards the host."""
        for way in self.ways:
            for image in way.images().values():
                with self.subTest(f"{way.name} {image}"), self.running(way, image) as front:
                    started = self.descendants(front.pid)
                    self.assertEqual(bool(started), way.name != "brokered")
                    for pid in [front.pid, *started]:
                        self.assertEqual(self.site.left().uids(pathlib.Path(f"/proc/{pid}")), {self.site.user.pw_uid})
                        if os.readlink(f"/proc/{pid}/ns/user") == os.readlink("/proc/self/ns/user"):
                            status = pathlib.Path(f"/proc/{pid}/status").read_text()
                            for name in ("CapPrm", "CapEff", "CapInh", "CapAmb"):
                                self.assertIn(f"{name}:\t{0:016x}\n", status)

    @classmethod
    def descendants(cls, pid):
        children = [int(word) for word in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        return [each for child in children for each in (child, *cls.descendants(child))]

    def test_keys_of_whoever_started_the_broker_are_out_of_reach(self):
        for way in self.ways:
            if way.name == "brokered":
                ended = self.begin(way, way.images()["store"], ["/bin/probe", "keys"], options=["--security", "seccomp:unconfined"]).finish()
                self.assertEqual(ended.out, "held\n", ended)

    def test_an_images_server_that_stands_still_or_is_gone_keeps_nobody(self):
        for way in self.ways:
            for number in (signal.SIGSTOP, signal.SIGKILL):
                with self.subTest(f"{way.name} {number.name}"), self.running(way, self.site.squashfs):
                    servers = [pid for pid, name in self.processes().items() if is_image_server(name)]
                    self.assertEqual(len(servers), 1)
                    os.kill(servers[0], number)

    def test_an_image_that_thinks_for_ever_does_not_outlive_its_front(self):
        """Its scripts are read before the command starts, and nobody looks at the front's socket meanwhile."""
        tree, image = self.site.folder / "thinks", self.site.folder / "thinks.sqsh"
        subprocess.run(["cp", "-a", self.site.tree, tree], check=True)
        shutil.copy(tree / "bin/probe", tree / "bin/sh")
        (tree / ".singularity.d/env").mkdir(parents=True)
        (tree / ".singularity.d/env/90-environment.sh").write_text("export A=$(date)\n")
        subprocess.run(["mksquashfs", tree, image, "-all-root", "-quiet", "-no-progress"], check=True, stdout=subprocess.DEVNULL)
        for way in self.ways:
            with self.subTest(way.name):
                before = self.site.left().before()
                front = self.begin(way, image, ["/bin/probe", "wait"])
                t.wait_until("it thinks", lambda: "sh" in self.processes().values(), 30)
                os.kill(front.pid, signal.SIGKILL)
                front.finish()
                self.assertEqual(self.site.left().settles(before), "")

    def test_an_images_server_has_an_environment_of_its_own(self):
        for way in self.ways:
            with self.subTest(way.name), self.running(way, self.site.squashfs):
                for pid, name in self.processes().items():
                    if is_image_server(name):
                        self.assertEqual(pathlib.Path(f"/proc/{pid}/environ").read_bytes(), b"PATH=/usr/bin:/bin\0")

    def test_where_proc_is_masked_the_callers_own_is_bound(self):
        """As in another's container: the kernel gives no fresh procfs, and a PID namespace without one would lie."""
        def masked():
            libc, uid, gid = starts.LIBC, os.getuid(), os.getgid()
            libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)
            libc.unshare(CLONE_NEWUSER | CLONE_NEWNS)
            for path, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
                with open(f"/proc/self/{path}", "w") as file:
                    file.write(text)
            if libc.mount(b"none", b"/proc/sys", b"tmpfs", 0, None) != 0:
                os._exit(97)
        way = self.ways[0]
        for image in way.images().values():
            with self.subTest(str(image)):
                before = self.site.left().before()
                ended = self.begin(way, image, self.site.probe(), twist=masked).finish()
                self.assertEqual((ended.code, ended.out), (0, "held\n"), ended)
                self.assertEqual(self.site.left().settles(before), "")

    def test_ghsa_36xw_no_socket_has_a_name_without_a_file(self):
        """An abstract one could be spoken to from every container that has the host's network."""
        ours = {os.readlink(fd) for program in ("slipway-broker", "slipway-holder") for fd in self.descriptors(program)}
        if len(self.ways) > 1:
            self.assertTrue(ours)
        for way in self.ways:
            with self.running(way, self.site.squashfs):
                ours |= {os.readlink(fd) for pid in self.processes() for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir()}
        for line in pathlib.Path("/proc/net/unix").read_text().splitlines()[1:]:
            fields = line.split()
            if f"socket:[{fields[6]}]" in ours and len(fields) > 7:
                self.assertFalse(fields[7].startswith("@"), line)

    @staticmethod
    def descriptors(program):
        for proc in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if (proc / "comm").read_text().strip() == program[:15]:
                    yield from (proc / "fd").iterdir()


@t.need_root
class RanksOfAStep(t.ClusterTest):
    NODES = 1
    IMAGES = ("tiny",)

    def test_they_read_each_others_memory(self):
        """One user namespace for all: MPI's single-copy transfers (CMA) need it."""
        reader = ("$me = $ENV{SLIPWAY_RANK} // $ENV{PMIX_RANK} // $ENV{SLURM_PROCID}; $home = $ENV{HOME}; $word = 'of rank ' . $me; "
                  "open F, '>', \"$home/cma.$me.new\"; printf F '%d %d', $$, unpack('J', pack('p', $word)); close F; "
                  "rename \"$home/cma.$me.new\", \"$home/cma.$me\"; "
                  "$other = 1 - $me; select undef, undef, undef, 0.05 until -e \"$home/cma.$other\"; "
                  "open F, '<', \"$home/cma.$other\"; ($pid, $at) = split ' ', <F>; $got = ' ' x 9; "
                  "$r = pack 'JJ', $at, 9; $l = pack 'JJ', unpack('J', pack('p', $got)), 9; "
                  "$n = syscall 310, $pid+0, $l, 1, $r, 1, 0; print \"$n $got\\n\"; "
                  "open F, '>', \"$home/cma.$me.done\"; close F; select undef, undef, undef, 0.05 until -e \"$home/cma.$other.done\"")
        done = self.cluster("launch", "-n2", "--image", "tiny", "--", "perl", "-e", reader, check=0)
        self.assertEqual(sorted(done.stdout.splitlines()), ["9 of rank 0", "9 of rank 1"], done)


if __name__ == "__main__":
    unittest.main()
