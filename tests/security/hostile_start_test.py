#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Whatever a caller hands down to `exec` (words, environment, descriptors, limits, ids, folders, an unwell machine):
the container holds or one line says why there is none, and nothing is left.
"""
import contextlib
import os
import resource
import signal
import socket
import subprocess
import unittest

import slipway_testing as t
import starts
from left import leave_the_hosts_mounts

PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS = 4, 38
CLONE_NEWUSER, CLONE_NEWNS, MS_BIND, MS_REC = 0x10000000, 0x20000, 0x1000, 0x4000


def limit(which, value):
    return lambda: resource.setrlimit(which, (value, value))


def close(*fds):
    def twist():
        for fd in fds:
            os.close(fd)
    return twist


def ignore_signals():
    for number in (signal.SIGCHLD, signal.SIGPIPE, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, set(range(1, 32)) - {signal.SIGKILL, signal.SIGSTOP})


def hold_descriptors():
    """What the caller has open, the folder above everything among it, is not to be seen inside."""
    for number in range(3, 60):
        os.dup2(os.open("/", os.O_RDONLY | os.O_DIRECTORY), number, inheritable=True)


# name: (twist, whether the start must come to a container all the same)
SURROUNDINGS = {
    "closed 0": (close(0), True), "closed 1 and 2": (close(1, 2), True), "closed 0, 1 and 2": (close(0, 1, 2), True),
    "closed 0 and 2": (close(0, 2), True),
    "three descriptors": (limit(resource.RLIMIT_NOFILE, 3), False), "ten descriptors": (limit(resource.RLIMIT_NOFILE, 10), False),
    "little memory": (limit(resource.RLIMIT_AS, 24 << 20), False), "less memory": (limit(resource.RLIMIT_AS, 12 << 20), False),
    "no data segment": (limit(resource.RLIMIT_DATA, 1 << 20), False), "a small stack": (limit(resource.RLIMIT_STACK, 128 << 10), False),
    "no file may be written": (limit(resource.RLIMIT_FSIZE, 0), False), "one process": (limit(resource.RLIMIT_NPROC, 1), False),
    "no locked memory": (limit(resource.RLIMIT_MEMLOCK, 0), True), "no queued signals": (limit(resource.RLIMIT_SIGPENDING, 0), True),
    "core files without end": (limit(resource.RLIMIT_CORE, resource.RLIM_INFINITY), True), "the lowest priority": (lambda: os.nice(19), True),
    "umask 0777": (lambda: os.umask(0o777), True), "ignored and blocked signals": (ignore_signals, True),
    "foreign descriptors": (hold_descriptors, True),
    "no new privileges": (lambda: starts.LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), False),
}


def environments(folder):
    return {
        "loader's variables": [f"{name}={folder}/evil.so" for name in ("LD_PRELOAD", "LD_AUDIT", "GCONV_PATH", "LOCPATH", "NLSPATH", "MALLOC_TRACE")] +
                              ["LD_LIBRARY_PATH=.", "GLIBC_TUNABLES=glibc.malloc.check=3",
                               f"TMPDIR={folder}", "BASH_ENV=/tmp/x", "ENV=/tmp/x", "IFS=/"],
        "no entry at all": None,
        "entries without a name or a value": ["", "=", "=x", "NOEQUALS", "A=1", "A=2", "HOME", "PATH", "\n=\n", "X=a\nb\x1b[2J"],
        "no UTF-8": [b"B\xff\xfe=\xff\x80", b"\xff", b"HOME2=\xc0\xaf"],
        "one huge entry": ["HUGE=" + "x" * (127 << 10)],
        "many entries": [f"N{i}=" + "y" * 40 for i in range(20_000)],
        "our own settings": ["APPTAINERENV_LD_PRELOAD=/evil.so", "SLIPWAYENV_PATH=", "SINGULARITYENV_PREPEND_PATH=/evil", "SLIPWAY_CONTEXT=/etc/shadow",
                             "XDG_CONFIG_HOME=/root", "HOME=/root", "NOTIFY_SOCKET=/run/x", "LISTEN_FDS=3", "LISTEN_PID=1"],
        "a relative home": ["HOME=../../root", "PWD=/nowhere", "OLDPWD=/root"],
    }


class Base(unittest.TestCase):
    CONF = ""

    @classmethod
    def setUpClass(cls):
        leave_the_hosts_mounts()
        cls.site = starts.Site(cls)
        cls.ways = starts.ways(cls, cls.site, cls.CONF)
        for way, image in cls.every():  # the broker keeps what it has mounted once
            ended = cls.start(way, image)
            assert ended.code == 0, (way.name, image, ended)

    @classmethod
    def every(cls):
        return [(way, image) for way in cls.ways for image in way.images().values()]

    @classmethod
    def start(cls, way, image, *, options=(), uid=None, gid=None, env=None, command=None, **more):
        user = cls.site.user
        uid, gid = uid if uid is not None else user.pw_uid, gid if gid is not None else user.pw_gid
        more.setdefault("cwd", user.pw_dir)
        argv = way.argv(image, command or cls.site.probe(uid, gid), options)
        return starts.start(argv, uid=uid, gid=gid, env=cls.site.env() if env is None else env, **more).finish()

    def holds(self, what, way, image, must_run=False, codes=(0, 125, 126, 127), uid=None, **more):
        with self.subTest(f"{what}, {way.name}, {image}"):
            left = self.site.left(uid)
            before = left.before()
            ended = self.start(way, image, uid=uid, **more)
            self.assertEqual(starts.judge(ended), "", ended)
            self.assertIn(ended.code, (0,) if must_run else codes, ended)
            self.assertEqual(left.settles(before), "", ended)
            return ended


@t.need_root
class WhatTheCallerHandsDown(Base):
    def test_descriptors_limits_signals(self):
        for name, (twist, must_run) in SURROUNDINGS.items():
            for way, image in self.every():
                loader = name.endswith("memory") or name in ("no data segment", "a small stack", "three descriptors")
                with self.subTest(f"{name}, {way.name}, {image}"):
                    before = self.site.left().before()
                    ended = self.start(way, image, twist=twist)
                    if not (loader and ended.code == 127 and "shared libraries" in ended.err):  # ld.so's own refusal
                        silent = "closed 1" in name or "closed 0, 1" in name
                        why = starts.judge(ended) if not silent else "" if ended.code in (0, 125) else "a wrong exit code"
                        self.assertEqual(why, "", ended)
                    if must_run:
                        self.assertEqual(ended.code, 0, ended)
                    self.assertEqual(self.site.left().settles(before), "")

    def test_environments(self):
        evil = self.site.folder / "evil.so"
        source = self.site.folder / "evil.c"
        written = self.site.folder / "loaded"
        written.mkdir()
        os.chmod(written, 0o1777)
        # Wherever it is loaded it notes the program and whether that runs with more than the caller's rights.
        source.write_text('#define _GNU_SOURCE\n#include <stdio.h>\n#include <unistd.h>\n#include <errno.h>\n__attribute__((constructor)) static void f(void) {'
                          f'char p[200]; snprintf(p, sizeof p, "{written}/%s-%d", program_invocation_short_name, geteuid() == getuid()); '
                          'FILE* f = fopen(p, "w"); if (f) fclose(f); }\n')
        subprocess.run(["gcc", "-shared", "-fPIC", "-o", evil, source], check=True)
        for name, entries in environments(self.site.folder).items():
            for way, image in self.every():
                env = [] if entries is None else self.site.env() + entries
                self.holds(name, way, image, must_run=name not in ("a relative home", "our own settings"), env=env)
        # The front is the caller's own program; what makes the container loads nothing of his.
        self.assertLessEqual({path.name for path in written.iterdir()}, {"slipway-1"})

    def test_words(self):
        for way, image in self.every():
            secret = str(self.site.secret)
            self.holds("many words", way, image, must_run=True, command=self.site.probe() + [secret] * 30_000)
            self.holds("one long word", way, image, must_run=True, command=self.site.probe() + ["/" + "x" * (120 << 10)])
            self.holds("no UTF-8", way, image, must_run=True, command=[*self.site.probe(), b"/\xff\xfe\n\x1b[2J"])
            for words in (["/bin/probe\n"], [""], ["/"], ["/proc/1/exe"], ["../bin/nothing"], ["/bin/probe/x"], ["x" * 5000]):
                self.holds(f"command {words[0][:20]!r}", way, image, codes=(125, 126, 127), command=words)
            # The task's own exec of what made it, which refuses as whenever it is started by hand: the broker with 1 and its reason.
            again = self.start(way, image, command=["/proc/self/exe"])
            self.assertIn(again.code, (1, 2, 126, 127), again)
            if again.code == 1:
                self.assertIn("prog=slipway-broker", again.err, again)
        for image in ("", "\n", "/dev/null", "/dev/zero", "/proc/self/mem", "/proc/self/fd/0", "/etc/shadow", "/root", "x" * 5000, "-", "sha256:" + "0" * 64,
                      "sha256:../../../etc/passwd", str(self.site.secret)):
            for way in self.ways:
                self.holds(f"image {image[:20]!r}", way, image, codes=(125,))

    def test_the_starter_started_by_hand(self):
        starter = str(self.site.bin / "slipway-starter")
        user = self.site.user
        stream, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        packet, gone = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        gone.close()
        for s in (stream, other, packet):
            self.addCleanup(s.close)
        before = self.site.left().before()
        for words in ([], [""], ["x"], ["-1"], ["3"], ["99999999999999999999"], ["4294967299"], ["0x3"], ["3 "], [" 3"], [str(stream.fileno())],
                      [str(packet.fileno())], [str(packet.fileno()), "root", "../../etc/subuid", "x"], [str(packet.fileno()), "nobody"], ["x" * 100_000]):
            for verb in ((), ("rootless",), ("exec",), ("import",), ("\xff",)):
                with self.subTest(f"{verb} {words}"):
                    ended = starts.start([starter, *verb, *words], uid=user.pw_uid, gid=user.pw_gid, env=self.site.env(),
                                         keep=(stream.fileno(), packet.fileno())).finish()
                    self.assertIn(ended.code, (2, 125))
                    self.assertLessEqual(len(ended.err.splitlines()), 1, ended)
        nothing = starts.start([starter], uid=user.pw_uid, gid=user.pw_gid, twist=lambda: starts.LIBC.execve(os.fsencode(starter), None, None)).finish()
        self.assertEqual(nothing.code, 2, nothing)
        self.assertEqual(self.site.left().settles(before), "")


@t.need_root
class WhereTheCallerStands(Base):
    def test_folders(self):
        home = self.site.folder / "places"
        home.mkdir()
        os.chown(home, self.site.user.pw_uid, self.site.user.pw_gid)

        def deleted():
            os.mkdir(f"{home}/gone")
            os.chdir(f"{home}/gone")
            os.rmdir(f"{home}/gone")

        def unreadable():
            os.mkdir(f"{home}/shut", 0o700)
            os.chdir(f"{home}/shut")
            os.chmod(".", 0)

        def deep():
            os.chdir(home)
            for _ in range(40):
                os.mkdir("d" * 200)
                os.chdir("d" * 200)

        def of_proc():
            os.chdir("/proc/self/fd")
        for name, twist in (("deleted", deleted), ("unreadable", unreadable), ("deep", deep), ("of a process", of_proc)):
            for way, image in self.every():
                self.holds(f"working directory {name}", way, image, must_run=True, twist=twist)
                subprocess.run(["rm", "-rf", *home.iterdir()], check=True)

    def test_a_chroot_of_the_callers(self):
        """In a user namespace of his own he may chroot: what makes the container must not be led out of it."""
        jail = self.site.folder / "jail"
        jail.mkdir()

        def in_a_namespace():
            uid, gid = os.getuid(), os.getgid()
            starts.LIBC.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)
            starts.LIBC.unshare(CLONE_NEWUSER | CLONE_NEWNS)
            for path, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
                with open(f"/proc/self/{path}", "w") as file:
                    file.write(text)

        def in_a_chroot():
            in_a_namespace()
            if starts.LIBC.mount(b"/", os.fsencode(jail), None, MS_BIND | MS_REC, None) != 0:
                os._exit(97)
            os.chroot(jail)
            os.chdir("/")
        for way, image in self.every():
            for name, twist in (("a namespace", in_a_namespace), ("a chroot", in_a_chroot)):
                with self.subTest(f"{name} {way.name} {image}"):
                    ended = self.start(way, image, twist=twist)
                    self.assertEqual(starts.judge(ended), "", ended)
                    # The kernel refuses namespaces to whoever is in a chroot; a namespace within one's own is nobody's affair.
                    self.assertEqual(ended.code, 0 if way.name == "rootless" and twist is in_a_namespace else 125, ended)

    def test_a_full_disk_and_no_inodes(self):
        user = self.site.user
        for name, options in (("full", "size=4k"), ("no inodes", "nr_inodes=2")):
            folder = self.site.folder / name.replace(" ", "-")
            folder.mkdir()
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"{options},mode=0777", "slipway-test", folder], check=True)
            self.addCleanup(subprocess.run, ["umount", folder], check=True)
            with contextlib.suppress(OSError), open(folder / "x", "wb") as file:
                file.write(bytes(8192))
            env = [f"HOME={folder}", f"TMPDIR={folder}", f"XDG_RUNTIME_DIR={folder}", f"USER={user.pw_name}", "PATH=/usr/bin:/bin"]
            for way, image in self.every():
                self.holds(f"home {name}", way, image, must_run=True, env=env, cwd=str(folder))
                self.holds(f"/tmp {name}", way, image, must_run=True, env=env, cwd=str(folder), options=["--bind", f"{folder}:/tmp"])

    def test_no_loop_device_left(self):
        self.assertTrue(os.path.exists("/dev/loop-control"))
        subprocess.run(["mount", "--bind", "/dev/null", "/dev/loop-control"], check=True)
        self.addCleanup(subprocess.run, ["umount", "/dev/loop-control"], check=True)
        for way, image in self.every():
            # Rootless and one's own file by squashfuse need none; the broker has its mount. A cold store image says what is missing.
            self.holds("no loop device", way, image, must_run=image in (self.site.tree, self.site.squashfs))

    def test_no_user_namespaces(self):
        """The limit is one of each user namespace, so ours is tried in one: the machine's own stays."""
        user = self.site.user

        def without():
            uid, gid = os.getuid(), os.getgid()
            starts.LIBC.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)
            if starts.LIBC.unshare(CLONE_NEWUSER) != 0:
                os._exit(98)
            for path, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
                with open(f"/proc/self/{path}", "w") as file:
                    file.write(text)
            with open("/proc/sys/user/max_user_namespaces", "w") as file:
                file.write("0")
        machines = open("/proc/sys/user/max_user_namespaces").read()
        for way, image in self.every():
            ended = self.holds("no user namespaces", way, image, codes=(125,), twist=without)
            if ended is not None and way.name == "rootless":
                self.assertIn("user.max_user_namespaces", ended.err)
        self.assertEqual(open("/proc/sys/user/max_user_namespaces").read(), machines)
        self.assertNotEqual(user.pw_uid, 0)


@t.need_root
class WhoTheCallerIs(Base):
    CONF = "allow_capabilities = CAP_SETGID\n"  # for one test; nobody has it who does not ask

    def test_uids_above_two_to_the_31(self):
        for uid in (2**31, 2**31 + 5, 2**32 - 3):
            home = self.site.folder / f"home{uid}"
            home.mkdir()
            os.chown(home, uid, uid)
            for way, image in self.every():
                self.holds(f"uid {uid}", way, image, must_run=True, uid=uid, gid=uid, env=[f"HOME={home}", "PATH=/bin"], cwd=str(home))

    def test_as_many_groups_as_the_kernel_takes(self):
        groups = range(100_000, 100_000 + 65_536)
        for way, image in self.every():
            self.holds("65,536 groups", way, image, must_run=True, groups=groups)

    def test_a_group_that_shuts_him_out_goes_on_doing_so(self):  # CVE-2014-8989
        closed = 64_123
        shut = self.site.folder / "shut-by-group"
        shut.write_text("not for this group\n")
        os.chown(shut, 0, closed)
        os.chmod(shut, 0o604)
        by_primary = self.site.folder / "shut-by-primary-group"
        by_primary.write_text("not for his own group\n")
        os.chown(by_primary, 0, self.site.user.pw_gid)
        os.chmod(by_primary, 0o604)
        for way, image in self.every():
            for groups in ([closed, *range(70_000, 70_400)], [closed, *range(100_000, 100_000 + 65_535)]):
                self.holds(f"a negative group of {len(groups)}", way, image, must_run=True, groups=groups,
                           command=[*self.site.probe(), str(shut), str(by_primary)])
                self.holds(f"CAP_SETGID and {len(groups)}", way, image, must_run=True, groups=groups, options=["--add-caps", "setgid"],
                           command=["/bin/probe", "regroup", str(shut), str(by_primary)])

    def test_ids_that_are_nobodys_get_no_privileged_container(self):
        for way, image in self.every():
            if way.name != "rootless":
                his = self.site.user.pw_uid
                for uid, gid, why in ((0, 0, "root"), (65534, 65534, "is no user's|overflow uid"), (his, 0, "nor for root's group"), (his, 65534, "is no user's")):
                    with self.subTest(f"{way.name} {uid} {gid}"):
                        ended = self.start(way, image, uid=uid, gid=gid)
                        self.assertEqual(ended.code, 125, ended)
                        self.assertRegex(ended.err, why)


del Base  # or unittest runs it by itself

if __name__ == "__main__":
    unittest.main()
