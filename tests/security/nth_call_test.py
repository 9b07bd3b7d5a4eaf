#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Whatever call the kernel refuses, a start ends, says one thing, and leaves nothing: every call is tried, by number.

The refusals are real (fail_nth.cc, through ptrace): the programs under test are those that are installed.
"""
import errno
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import unittest

import slipway_testing as t
from left import Left, leave_the_hosts_mounts

FAIL_NTH = str(t.BUILD / "tests/fail_nth")
# A call that is refused for want of memory, and one that is forbidden (which some code may take for "not here").
ERRORS = (errno.ENOMEM, errno.EPERM)
HANG_SECONDS, HANGS = 60, -1000
EVERY = 1 if os.environ.get("SLIPWAY_TEST_FULL") else 7


@t.need_root
class EveryCallOfAStart(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        leave_the_hosts_mounts()
        cls.account = t.Account("slipway-nth")
        cls.addClassCleanup(cls.account.remove)
        cls.tiny = t.image("tiny")
        cls.tree = pathlib.Path(tempfile.mkdtemp(prefix="slipway-nth-"))
        cls.addClassCleanup(shutil.rmtree, cls.tree, ignore_errors=True)
        os.chmod(cls.tree, 0o755)
        (cls.tree / "bin").mkdir()
        source = cls.tree / "true.c"
        source.write_text("int main(void) { return 0; }\n")
        subprocess.run(["gcc", "-static", "-o", cls.tree / "bin/true", source], check=True)
        # The user may not be able to reach the build folder.
        cls.bin = pathlib.Path(tempfile.mkdtemp(prefix="slipway-nth-bin-"))
        cls.addClassCleanup(shutil.rmtree, cls.bin, ignore_errors=True)
        os.chmod(cls.bin, 0o755)
        for program in ("slipway", "slipway-starter"):
            shutil.copy(t.BIN / program, cls.bin)

    def once(self, nth, error, argv):
        """Returns what was refused ("" when there were fewer calls), the exit code and stderr."""
        user = self.account.entry
        told_read, told_write = os.pipe()
        env = {"HOME": user.pw_dir, "PATH": "/usr/bin:/bin", "USER": user.pw_name}
        # As root, so that a set-id program keeps its rights under the tracer; setpriv becomes the user.
        command = [FAIL_NTH, str(nth), str(error), "slipway,slipway-starter", "setpriv", f"--reuid={user.pw_uid}",
                   f"--regid={user.pw_gid}", "--clear-groups", *argv]
        process = subprocess.Popen(["sh", "-c", f'exec "$@" 9>&{told_write}', "sh", *command], cwd=user.pw_dir, env=env, pass_fds=[told_write],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        os.close(told_write)
        try:
            _, stderr = process.communicate(timeout=HANG_SECONDS)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)  # the tracer's end is the end of all that it traces
            process.communicate()
            process.returncode, stderr = HANGS, ""
        with os.fdopen(told_read) as told:
            return told.read().strip(), process.returncode, stderr

    def every(self, *argv):
        """`argv`: … IMAGE COMMAND."""
        left = Left(self.account.entry.pw_uid, pathlib.Path(self.account.entry.pw_dir), argv[-2])
        before = left.before()
        self.assertEqual(self.once(0, errno.ENOMEM, argv), ("", 0, ""), "it does not run when nothing is refused")
        tried, wrong = 0, []
        for error in ERRORS:
            for nth in range(1, 100_000, EVERY):
                refused, code, stderr = self.once(nth, error, argv)
                if not refused:
                    break
                tried += 1
                now = left.look()
                why = self.judge(code, stderr) or (f"left behind {[n for n, b in zip(now, before) if n != b]}" if now != before else "")
                if why:
                    wrong.append(f"call {nth} ({refused}) refused with {errno.errorcode[error]}: {why}: exit code {code}, {stderr!r}")
        print(f"{' '.join(str(word) for word in argv[1:-1])}: {tried} calls refused, one at a time")
        self.assertFalse(wrong, "\n" + "\n".join(wrong))
        self.assertGreater(tried * EVERY, 200, "so few calls cannot be a start")

    @staticmethod
    def judge(code, stderr):
        """Empty when the start did without, or failed as ours (125) or as the command's (126, 127) with one line; never a crash."""
        lines = [line for line in stderr.splitlines() if line.strip() and "warning" not in line]
        if code not in (0, 125, 126, 127):
            return "a crash" if code > 128 else "it hangs" if code == HANGS else "a wrong exit code"
        if code != 0 and len(lines) != 1:
            return f"{len(lines)} lines"
        return ""

    def test_rootless_from_a_directory(self):
        self.every(self.bin / "slipway", "exec", self.tree, "/bin/true")

    def test_rootless_from_a_sif(self):
        self.every(self.bin / "slipway", "exec", self.tiny, "/bin/true")

    def test_rootless_writing_to_a_sif(self):
        self.every(self.bin / "slipway", "exec", "--writable-tmpfs", "--net", self.tiny, "/bin/true")

    def test_root_of_a_namespace_of_his_own(self):
        self.every(self.bin / "slipway", "exec", "--fakeroot", self.tree, "/bin/true")


if __name__ == "__main__":
    unittest.main()
