# SPDX-License-Identifier: Apache-2.0
"""What the interop tests share: a folder of their own, Slipway's program, and Apptainer's where there is one.

SLIPWAY_APPTAINER may name the command, with its first arguments, where `apptainer` is not in PATH (a wrapper that runs it
in a root of its own; that root must see /tmp), SLIPWAY_APPTAINER_USER the same for running containers, where root may
not.
"""
import os
import shlex
import shutil
import stat
import subprocess
import tempfile
import unittest

BUILD = os.path.abspath(os.environ.get("SLIPWAY_BUILD", "build/release"))
SLIPWAY = os.path.join(BUILD, "bin", "slipway")


def apptainer_command(running=False):
    named = running and os.environ.get("SLIPWAY_APPTAINER_USER") or os.environ.get("SLIPWAY_APPTAINER")
    if named:
        return shlex.split(named)
    found = shutil.which("apptainer") or shutil.which("singularity")
    return [found] if found else None


def needs_apptainer():
    return unittest.skipUnless(apptainer_command(), "apptainer is not installed (SLIPWAY_APPTAINER may name it)")


def needs(program):
    return unittest.skipUnless(shutil.which(program), f"{program} is not installed")


class Interop(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.top = tempfile.mkdtemp(prefix="slipway-interop-")
        os.chmod(self.top, 0o755)
        self.addCleanup(shutil.rmtree, self.top, ignore_errors=True)
        self.env = dict(os.environ, HOME=self.top, SLIPWAY_KEYS=os.path.join(self.top, "keys"),
                        SLIPWAY_CACHE=os.path.join(self.top, "cache"))
        self.env.pop("SOURCE_DATE_EPOCH", None)

    def path(self, name):
        return os.path.join(self.top, name)

    def write(self, name, data, mode=0o644):
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(data if isinstance(data, bytes) else data.encode())
        os.chmod(path, mode)
        return path

    def run_command(self, command, code=0, **kwargs):
        done = subprocess.run(command, capture_output=True, env=self.env, cwd=self.top, timeout=200, **kwargs)
        out, err = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        if code is not None:
            self.assertEqual(code, done.returncode, f"{command}\n{out}\n{err}")
        return out, err

    def slipway(self, *words, code=0, **kwargs):
        return self.run_command([SLIPWAY, *words], code, **kwargs)

    def apptainer(self, *words, code=0, **kwargs):
        return self.run_command([*apptainer_command(words[0] in ("exec", "run")), *words], code, **kwargs)

    def small_root(self, name="root"):
        """A root file system of this machine's own shell and what it links: enough to run a command."""
        root = self.path(name)
        for program in ("/bin/sh", "/bin/cat", "/bin/uname", "/bin/ls", "/usr/bin/env"):
            self._copy_with_libraries(os.path.realpath(program), root)
            target = root + program
            if not os.path.exists(target):
                os.makedirs(os.path.dirname(target), exist_ok=True)
                shutil.copy2(os.path.realpath(program), target)
        for folder in ("proc", "sys", "dev", "tmp", "var/tmp", "etc", "home", "root"):
            os.makedirs(os.path.join(root, folder), exist_ok=True)
        self.write(f"{name}/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n")
        self.write(f"{name}/etc/group", "root:x:0:\n")
        self.write(f"{name}/hello.txt", "hello from the image\n")
        return root

    def _copy_with_libraries(self, program, root):
        listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
        files = [program] + [word for line in listed.splitlines() for word in line.split() if word.startswith("/")]
        for file in files:
            target = root + file
            if not os.path.exists(target):
                os.makedirs(os.path.dirname(target), exist_ok=True)
                shutil.copy2(os.path.realpath(file), target)
                os.chmod(target, stat.S_IMODE(os.stat(target).st_mode) | 0o111)


def main():
    unittest.main(verbosity=2)
