#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What `slipway exec` leaves to a hostile image: a test per row of the table of past holes that concerns confinement.

Each runs as an ordinary user without any daemon; as root the account is a real one.
"""
import os
import pty
import shutil
import signal
import subprocess
import tempfile
import unittest

import slipway_testing as t

TIOCSTI = 0x5412


class Confinement(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.account = t.Account("slipway-cnf")
        cls.addClassCleanup(cls.account.remove)
        cls.user = cls.account.entry
        cls.tiny = t.image("tiny")

    def exec(self, *argv, check=0, **options):
        return t.run([t.SLIPWAY, "exec", *argv], user=self.user, check=check, **options)

    def inside(self, *command, options=()):
        return self.exec(*options, self.tiny, *command).stdout

    def status(self, *options):
        lines = self.inside("cat", "/proc/self/status", options=options).splitlines()
        return {name: value.strip() for name, value in (line.split(":", 1) for line in lines)}

    def test_cve_2022_29162_no_set_of_capabilities_is_left(self):
        status = self.status()
        for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            self.assertEqual(int(status[name], 16), 0, name)
        self.assertEqual(status["NoNewPrivs"], "1")
        self.assertEqual(status["Seccomp"], "2")

    def test_only_the_capabilities_asked_for_are_kept_and_only_inside(self):
        status = self.status("--add-caps", "net_raw,sys_admin", "--drop-caps", "CAP_SYS_ADMIN")
        if self.user.pw_uid != 0:
            for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
                self.assertEqual(int(status[name], 16), 1 << 13, name)
        self.assertEqual(status["NoNewPrivs"], "1")
        done = self.exec("--keep-privs", self.tiny, "sh", "-c", "echo x > /proc/sys/kernel/hostname; mknod /dev/sda b 8 0", check=None)
        self.assertNotEqual(done.returncode, 0, "a capability reached the host")

    def test_cve_2024_21626_no_foreign_descriptor_and_a_cwd_inside(self):
        folder = os.open("/etc", os.O_RDONLY | os.O_DIRECTORY)
        self.addCleanup(os.close, folder)
        os.set_inheritable(folder, True)
        command = [t.SLIPWAY, "exec", "--pwd", f"/proc/self/fd/{folder}", self.tiny, "sh", "-c", "ls /proc/self/fd; pwd -P; ls /.singularity.d"]
        extra = {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []} if t.ROOT else {}
        done = subprocess.run(command, capture_output=True, text=True, pass_fds=(folder,), timeout=60, cwd="/tmp",
                              stdin=subprocess.DEVNULL, **extra)
        lines = done.stdout.splitlines()
        self.assertEqual(lines[:5], ["0", "1", "2", "3", "/"], done)  # 3: ls's own
        self.assertIn("env", lines)

    def test_cve_2019_5736_the_program_that_made_the_container_cannot_be_replaced(self):
        # An installation that belongs to the user himself: the file behind /proc/self/exe would be his to write.
        folder = tempfile.mkdtemp(prefix="slipway-own-", dir="/tmp")
        self.addCleanup(shutil.rmtree, folder)
        os.chmod(folder, 0o755)
        for name in ("slipway", "slipway-starter"):
            shutil.copy2(t.BIN / name, folder)
            os.chown(f"{folder}/{name}", self.user.pw_uid, self.user.pw_gid)
        script = f"{folder}/again"
        with open(script, "w") as file:
            file.write("#!/proc/self/exe\n")
        os.chmod(script, 0o755)
        done = t.run([f"{folder}/slipway", "exec", self.tiny, script], user=self.user)
        self.assertIn("not by hand", done.stderr, "the trick no longer reaches our program: look for another")
        init = self.init_of(folder)
        exe = os.readlink(f"/proc/{init}/exe") if t.ROOT else "/memfd:"
        self.assertTrue(exe.startswith("/memfd:"), exe)
        if t.ROOT:
            with self.assertRaises(OSError):
                open(f"/proc/{init}/exe", "r+b").close()

    def init_of(self, folder):
        extra = {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []} if t.ROOT else {}
        front = subprocess.Popen([f"{folder}/slipway", "exec", self.tiny, "sh", "-c", "echo up; exec sleep 1000"], stdin=subprocess.DEVNULL,
                                 stdout=subprocess.PIPE, text=True, cwd="/tmp", **extra)
        self.addCleanup(front.stdout.close)
        self.addCleanup(front.wait)
        self.addCleanup(front.send_signal, signal.SIGTERM)
        self.assertEqual(front.stdout.readline(), "up\n")
        with open(f"/proc/{front.pid}/task/{front.pid}/children") as children:
            return int(children.read().split()[0])

    def test_cve_2025_65105_a_label_that_cannot_be_applied_starts_nothing(self):
        if os.path.exists("/sys/module/apparmor") or os.path.exists("/sys/fs/selinux/enforce"):
            self.skipTest("this host has a security module that labels")
        for word in ("apparmor:docker-default", "selinux:system_u:system_r:container_t:s0"):
            done = self.exec("--security", word, self.tiny, "echo", "started", check=125)
            self.assertNotIn("started", done.stdout)
            self.assertIn("nothing was started without it", done.stderr)
            self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        # The image's own /proc is a folder that would swallow the label.
        fake = tempfile.mkdtemp(prefix="slipway-proc-", dir="/tmp")
        self.addCleanup(shutil.rmtree, fake)
        os.makedirs(f"{fake}/thread-self/attr/apparmor")
        for name in ("exec", "apparmor/exec"):
            open(f"{fake}/thread-self/attr/{name}", "w").close()
            os.chmod(f"{fake}/thread-self/attr/{name}", 0o666)
        self.exec("--bind", f"{fake}:/proc", "--security", "apparmor:docker-default", self.tiny, "true", check=125)

    def test_cve_2025_31133_devices_are_the_hosts_own(self):
        # Masking by /dev/null is only as good as the node that is bound: it must be the kernel's, whatever the image has.
        said = self.inside("sh", "-c", "stat -c '%t:%T %F' /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty")
        self.assertEqual(said.splitlines(), [f"{n} character special file" for n in ("1:3", "1:5", "1:7", "1:8", "1:9", "5:0")])

    def test_cve_2017_5226_nobody_types_into_the_callers_terminal(self):
        pid, terminal = pty.fork()
        if pid == 0:
            try:
                if t.ROOT:
                    os.setgroups([])
                    os.setgid(self.user.pw_gid)
                    os.setuid(self.user.pw_uid)
                os.environ["HOME"] = self.user.pw_dir
                os.chdir("/tmp")
                os.execv(t.SLIPWAY, [t.SLIPWAY, "exec", self.tiny, "perl", "-e",
                                     "$c = 'x'; $r = ioctl(STDIN, %d, $c); print defined $r ? 'TYPED' : \"refused: $!\", qq(\\n)" % TIOCSTI])
            finally:
                os._exit(99)
        said = b""
        try:
            while chunk := os.read(terminal, 1024):
                said += chunk
        except OSError:
            pass
        os.waitpid(pid, 0)
        os.close(terminal)
        self.assertIn(b"refused: Operation not permitted", said)

    def test_keys_of_the_caller_are_out_of_reach(self):
        said = self.inside("perl", "-e", '$! = 0; print syscall(250, 0, -3, 0) < 0 ? "refused: $!" : "a keyring"')  # keyctl
        self.assertEqual(said, "refused: Operation not permitted")

    def test_nested_user_namespaces_are_as_the_host_has_them(self):
        command = ["unshare", "--user", "id", "-u"]
        outside = t.run(command, user=self.user).returncode
        inside = self.exec(self.tiny, *command, check=None).returncode
        self.assertEqual(inside == 0, outside == 0)

    def test_a_profile_of_ones_own_holds_for_the_images_scripts_too(self):
        folder = tempfile.mkdtemp(prefix="slipway-profile-", dir="/tmp")
        self.addCleanup(shutil.rmtree, folder)
        os.chmod(folder, 0o777)
        with open(f"{folder}/profile.json", "w") as file:
            file.write('{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 71}]}')
        with open(f"{folder}/hostile.sh", "w") as file:
            file.write(f"mkdir {folder}/by-script\n")
        done = self.exec("--security", f"seccomp:{folder}/profile.json", "--bind", f"{folder}/hostile.sh:/.singularity.d/env/99-x.sh", self.tiny,
                         "mkdir", f"{folder}/by-task", check=1)
        self.assertIn("Protocol error", done.stderr)
        self.assertEqual(sorted(os.listdir(folder)), ["hostile.sh", "profile.json"])

    def test_bad_words_are_one_line_with_the_cure(self):
        for words, said in ((["--add-caps", "sys_ptrac"], "CAP_SYS_PTRACE?"), (["--security", "seccomp"], "seccomp:FILE"),
                            (["--security", "grsec:x"], "the kinds are"), (["--security", "uid:0"], "--fakeroot"),
                            (["--security", "seccomp:/no/such"], "/no/such"), (["--keep-privs", "--no-privs"], "contradict"),
                            (["--security", "seccomp:/etc/passwd"], "not JSON")):
            done = self.exec(*words, self.tiny, "true", check=125)
            self.assertIn(said, done.stderr)
            self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)


if __name__ == "__main__":
    unittest.main()
