#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a job's own code can do inside its container, and what others on the node can do to it."""
import ctypes
import os
import signal
import stat
import subprocess
import unittest

import hostile as h
import slipway_testing as t

# Runs inside: the kernel's own words on what a process there may do. Perl is in every Debian root; tiny has no Python.
MOUNT_TRIES = r"""
my ($SYS_mount, $SYS_umount2, $SYS_unshare, $SYS_mount_setattr) = (165, 166, 272, 442);
$! = 0; my $empty = "\0";
sub try { my ($name, $number, @rest) = @_; $! = 0; my $r = syscall($number, @rest); print "$name ", ($r < 0 ? $!+0 : "ALLOWED"), "\n" }
my ($root, $type) = ("/", "");
sub tries {
  my $when = shift;
  try("$when remount-rw", $SYS_mount, $type, $root, $type, 0x1020, $empty);           # MS_REMOUNT|MS_BIND
  try("$when remount-dev-suid", $SYS_mount, $type, $root, $type, 0x1020 | 1, $empty);  # ro kept, nosuid and nodev cleared
  try("$when setattr", $SYS_mount_setattr, -100, $root, 0, pack("QQQQ", 0, 1 | 2 | 4, 0, 0), 32);
  try("$when umount", $SYS_umount2, $root, 2);
}
tries("plain");
try("unshare", $SYS_unshare, 0x10020000);  # CLONE_NEWUSER|CLONE_NEWNS: an ordinary user's right where the host gives it
tries("nested");
"""

PTRACE_ATTACH = 16


def as_other(user, action):
    """Runs action() in a child as `user` for good; gives what it returned as text."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setresgid(user.pw_gid, user.pw_gid, user.pw_gid)
            os.setresuid(user.pw_uid, user.pw_uid, user.pw_uid)
            os.write(write, str(action()).encode())
        except OSError as error:
            os.write(write, os.strerror(error.errno).encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        said = answer.read()
    os.waitpid(pid, 0)
    return said


def libc_call(name, *arguments):
    libc = ctypes.CDLL(None, use_errno=True)
    result = getattr(libc, name)(*arguments)
    return "ALLOWED" if result >= 0 else os.strerror(ctypes.get_errno())


@t.need_root
class InsideTheContainer(t.ClusterTest):
    NODES = 1
    IMAGES = ("tiny",)

    def inside(self, *command, check=0):
        return self.cluster("launch", "-n1", "--image", "tiny", "--", *command, check=check).stdout

    def test_no_capability_is_left_and_none_can_come_back(self):  # CVE-2022-29162: inheritable ones count too
        status = dict(line.split(":", 1) for line in self.inside("cat", "/proc/self/status").splitlines())
        for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            self.assertEqual(int(status[name], 16), 0, name)
        self.assertEqual(status["NoNewPrivs"].strip(), "1")
        user = self.account.entry
        self.assertEqual(status["Uid"].split(), [str(user.pw_uid)] * 4)
        self.assertEqual(status["Gid"].split(), [str(user.pw_gid)] * 4)

    def test_setgroups_is_denied(self):
        self.assertEqual(self.inside("cat", "/proc/self/setgroups").strip(), "deny")

    def test_the_images_mount_is_locked(self):
        said = dict(line.rsplit(" ", 1) for line in self.inside("perl", "-e", MOUNT_TRIES).splitlines())
        self.assertEqual(len(said), 9, said)
        for what, errno in said.items():
            if what != "unshare":
                self.assertIn(int(errno), (1, 22), (what, said))  # EPERM, EINVAL

    def test_the_images_mount_is_read_only_without_suid_and_devices(self):
        lines = [line.split() for line in self.inside("cat", "/proc/self/mountinfo").splitlines()]
        of_image = [line for line in lines if line[4] == "/" or "squashfs" in line[line.index("-"):]]
        self.assertTrue(of_image)
        for line in of_image:
            for flag in ("ro", "nosuid", "nodev"):
                self.assertIn(flag, line[5].split(","), line)
        for line in lines:
            self.assertIn("nosuid", line[5].split(","), line)

    def test_no_foreign_descriptor_and_a_cwd_inside(self):  # Singularity 2.4.3, CVE-2024-21626
        listing = self.inside("perl", "-e", 'for (0..1023) { my $to = readlink "/proc/self/fd/$_"; print "$_ $to\\n" if defined $to } '
                              'print "cwd ", readlink("/proc/self/cwd"), "\\n"')
        found = dict(line.split(" ", 1) for line in listing.splitlines())
        cwd = found.pop("cwd")
        self.assertLessEqual(set(found), {"0", "1", "2"}, listing)
        for to in found.values():
            self.assertTrue(to.startswith(("pipe:", "/dev/null")), listing)
        self.assertEqual(cwd, self.account.entry.pw_dir)

    def test_a_directory_that_is_not_there_gives_no_cwd_outside(self):  # CVE-2024-21626
        done = self.cluster("launch", "-n1", "--image", "tiny", "--chdir", "/proc/self/fd/7", "--", "sh", "-c", "pwd; ls -d /.singularity.d")
        self.assertTrue(done.stdout.startswith("/\n") or done.returncode != 0, done.stdout + done.stderr)

    def test_the_init_cannot_be_read_or_traced(self):  # bubblewrap CVE-2016-8659, CVE-2020-5291
        said = self.inside("sh", "-c", "for f in environ maps mem exe fd/0; do head -c1 /proc/1/$f >/dev/null 2>&1 && echo open $f; done; "
                           "for f in exe cwd root fd/0 ns/user; do readlink /proc/1/$f; done; "
                           "perl -e '$! = 0; print syscall(101, 16, 1, 0, 0) < 0 ? \"\" : \"traced\\n\"'")
        self.assertEqual(said, "")

    def test_a_set_id_program_gives_nothing(self):
        said = self.inside("sh", "-c", "su -c id root </dev/null 2>&1; id -u")
        self.assertNotIn("uid=0", said)

    def test_device_nodes_cannot_be_made_or_opened(self):
        said = self.inside("sh", "-c", "mknod /tmp/slipway-disk b 7 0 2>/dev/null && echo made; ls /dev")
        self.assertNotIn("made", said)
        self.assertLessEqual(set(said.split()), {"core", "fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr",
                                                 "stdin", "stdout", "tty", "urandom", "zero"})

    def test_the_hosts_kernel_settings_cannot_be_written(self):  # runc CVE-2019-5736, CVE-2025-52881
        said = self.inside("sh", "-c", "for f in /proc/sys/kernel/core_pattern /proc/sysrq-trigger /sys/kernel/uevent_helper /proc/1/exe; do "
                           "(: > $f) 2>/dev/null && echo wrote $f; done; true")
        self.assertEqual(said, "")


@t.need_root
class OthersOnTheNode(t.ClusterTest):
    NODES = 1
    IMAGES = ("tiny",)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        other = t.Account("slipway-oth")
        cls.addClassCleanup(other.remove)
        cls.other = other.entry
        cls.user = cls.account.entry
        cls.job_id = cls.cluster.submit("--image", "tiny", "--wrap", "echo secret > /dev/shm/slipway-secret; umask; sleep 4321")
        cls.cluster.wait_state(cls.job_id, "RUNNING")
        cls.addClassCleanup(cls.cluster, "cancel", cls.job_id)
        cls.rank = t.wait_until("the job sleeps", cls.find_sleeper, 60)
        cls.folder = next((cls.cluster.state / "nodes/n1/run/steps").glob(f"{cls.job_id}.*"))

    @classmethod
    def find_sleeper(cls):
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline") as line:
                    if line.read() == "sleep\0004321\0" and os.stat(f"/proc/{pid}").st_uid == cls.user.pw_uid:
                        return int(pid)
            except OSError:
                pass
        return None

    def stepd(self):
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/status") as status:
                    text = status.read()
            except OSError:
                continue
            if "Name:\tslipway-stepd" in text and f"Uid:\t{self.user.pw_uid}\t" in text:
                return int(pid)
        self.fail("no stepd")

    def test_neither_another_user_nor_the_user_outside_gets_into_the_container(self):
        for who in (self.other, self.user):
            for pid in (self.rank, self.stepd()):
                for name in ("environ", "mem", "maps"):
                    path = f"/proc/{pid}/{name}"
                    said = as_other(who, lambda p=path: open(p, "rb").read(1))
                    self.assertIn(said, ("Permission denied", "Operation not permitted"), path)
                for name in ("ns/user", "ns/mnt", "ns/pid", "root", "cwd", "exe", "fd/0"):
                    path = f"/proc/{pid}/{name}"
                    said = as_other(who, lambda p=path: os.open(p, os.O_RDONLY))
                    self.assertIn(said, ("Permission denied", "Operation not permitted"), path)
                said = as_other(who, lambda p=pid: libc_call("ptrace", PTRACE_ATTACH, p, 0, 0))
                self.assertEqual(said, "Operation not permitted", pid)

    def test_another_user_cannot_enter_it_by_a_pidfd(self):
        def enter():
            pidfd = os.pidfd_open(self.rank)
            return libc_call("setns", pidfd, 0x10000000)
        self.assertIn(as_other(self.other, enter), ("Operation not permitted", "Permission denied"))

    def test_another_user_cannot_signal_it(self):
        self.assertEqual(as_other(self.other, lambda: os.kill(self.rank, signal.SIGTERM)), "Operation not permitted")

    def test_another_user_cannot_read_status_log_or_folder_of_a_step(self):
        for name in ("status", "stepd.log", "record"):
            path = self.folder / name
            if not path.exists():
                continue
            self.assertEqual(stat.S_IMODE(path.stat().st_mode) & 0o007, 0, path)
            self.assertEqual(as_other(self.other, lambda p=path: open(p, "rb").read(1)), "Permission denied", path)
        self.assertEqual(as_other(self.other, lambda: os.open(self.folder / "x", os.O_CREAT | os.O_WRONLY)), "Permission denied")
        self.assertEqual(as_other(self.user, lambda: os.open(self.folder / "x", os.O_CREAT | os.O_WRONLY)), "Permission denied")

    def test_another_user_on_the_steps_socket_is_dropped_and_the_agent_keeps_it(self):
        s = h.connect(self.folder / "sock", self.other.pw_uid, self.other.pw_gid, kind=1)
        self.addCleanup(s.close)
        try:
            s.send(b"\6\0\0\0\1\0\1\0\0\0" + b"\2\0\0\0\10\0")  # attach; acknowledge: stepd may go
            self.assertEqual(s.recv(100), b"")
        except (ConnectionResetError, BrokenPipeError):
            pass
        self.assertEqual(self.cluster.job(self.job_id)["state"], "RUNNING")
        os.kill(self.stepd(), 0)

    def test_the_images_of_a_node_cannot_be_read_past_the_catalogue(self):
        folder = self.cluster.state / "nodes/n1/broker/images"
        self.assertTrue(list(folder.iterdir()))
        for path in folder.iterdir():
            said = as_other(self.other, lambda p=path: os.open(p, os.O_RDONLY))
            self.assertEqual(said, "Permission denied", path)

    def test_image_mounts_are_not_reachable_from_the_host(self):
        with open("/proc/self/mounts") as mounts:
            self.assertEqual([line for line in mounts if str(self.cluster.state) in line and "squashfs" in line], [])

    def test_another_users_job_cannot_read_or_signal_this_one(self):
        done = self.cluster("launch", "-n1", "--image", "tiny", "--", "sh", "-c",
                            "cat /dev/shm/slipway-secret; grep -l 4321 /proc/[0-9]*/cmdline | grep -v self; id -u", user=self.other)
        self.assertIn(str(self.other.pw_uid), done.stdout.split()[-1])
        # /dev/shm is the node's own, as on any node: file modes protect, names show. The processes do not even show.
        self.assertNotIn("/proc/" + str(self.rank), done.stdout)


if __name__ == "__main__":
    unittest.main()
