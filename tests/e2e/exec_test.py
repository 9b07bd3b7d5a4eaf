#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`slipway exec|run|shell|build|inspect|sif` with no daemon at all, as an ordinary user."""
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

import slipway_testing as t


class Exec(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.account = t.Account()
        cls.addClassCleanup(cls.account.remove)
        cls.user = cls.account.entry
        cls.sif = t.image("tiny")

    def slipway(self, *argv, **options):
        return t.run([t.SLIPWAY, *argv], user=self.user, **options)

    def refused(self, done, *words, code=125):
        """One clear line, the right code."""
        self.assertEqual(done.returncode, code, done.stderr)
        lines = [line for line in done.stderr.splitlines() if line]
        self.assertEqual(len(lines), 1, done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)

    def scratch(self):
        folder = tempfile.mkdtemp(prefix="slipway-e2e-", dir=self.user.pw_dir)
        os.chown(folder, self.user.pw_uid, self.user.pw_gid)
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        return pathlib.Path(folder)

    def test_exec_runs_in_the_image_as_the_user(self):
        done = self.slipway("exec", self.sif, "sh", "-c", "id -u; . /etc/os-release; echo $ID; echo $SLIPWAY_IMAGE", check=0)
        self.assertEqual(done.stdout.split(), [str(self.user.pw_uid), "debian", "tiny"])

    def test_run_runs_the_images_runscript(self):
        self.assertEqual(self.slipway("run", self.sif, "a", "b", check=0).stdout, "tiny: a b\n")

    def test_shell_reads_its_commands(self):
        self.assertIn("from a shell", self.slipway("shell", self.sif, stdin="echo from a shell\nexit 3\n", check=3).stdout)

    def test_home_and_working_directory_are_the_users(self):
        folder = self.scratch()
        done = self.slipway("exec", self.sif, "sh", "-c", "pwd; echo inside > made; echo $HOME", cwd=folder, check=0)
        self.assertEqual(done.stdout.split(), [str(folder), self.user.pw_dir])
        made = folder / "made"
        self.assertEqual((made.read_text(), made.stat().st_uid), ("inside\n", self.user.pw_uid))

    def test_binds_are_seen_and_read_only_when_asked(self):
        folder = self.scratch()
        (folder / "f").write_text("bound\n")
        done = self.slipway("exec", "--bind", f"{folder}:/data/deep:ro", self.sif, "sh", "-c", "cat /data/deep/f; touch /data/deep/x")
        self.assertEqual(done.stdout, "bound\n")
        self.assertNotEqual(done.returncode, 0)
        self.assertFalse((folder / "x").exists())

    def test_the_image_is_read_only_unless_asked(self):
        self.assertNotEqual(self.slipway("exec", self.sif, "touch", "/opt/x").returncode, 0)
        # Files of the image stay their owners', so what an ordinary user may change is not asked, but whether the root can be changed.
        for option, how in ([], "ro"), (["--writable-tmpfs"], "rw"):
            mounts = self.slipway("exec", *option, self.sif, "cat", "/proc/mounts", check=0).stdout
            root = next(line.split() for line in mounts.splitlines() if line.split()[1] == "/")
            self.assertEqual(root[3].split(",")[0], how, root)

    def test_exit_codes_are_the_shells(self):
        self.slipway("exec", self.sif, "sh", "-c", "exit 42", check=42)
        self.slipway("exec", self.sif, "sh", "-c", "kill -9 $$", check=137)

    def test_a_missing_command_is_127(self):
        self.refused(self.slipway("exec", self.sif, "no-such-command"), "no-such-command", code=127)

    def test_a_file_that_cannot_run_is_126(self):
        self.refused(self.slipway("exec", self.sif, "/etc/debian_version"), "/etc/debian_version", code=126)

    def test_what_is_no_image_is_said(self):
        folder = self.scratch()
        (folder / "text").write_text("not an image\n" * 100)
        self.refused(self.slipway("exec", folder / "text", "true"), "text")
        self.refused(self.slipway("exec", folder / "missing.sif", "true"), "missing.sif")

    def test_a_truncated_sif_is_refused(self):
        folder = self.scratch()
        whole = pathlib.Path(self.sif).read_bytes()
        for size in (10, 127, 4096, 40000, len(whole) // 2):
            (folder / "cut.sif").write_bytes(whole[:size])
            self.refused(self.slipway("exec", folder / "cut.sif", "true"), "cut.sif")

    def test_a_partition_past_the_end_is_refused(self):
        folder = self.scratch()
        sif = bytearray(pathlib.Path(self.sif).read_bytes())
        # Every descriptor's size field (+25 in the 585-byte descriptor, the table at 4096) is made absurd.
        for slot in range(8):
            at = 4096 + 585 * slot
            if sif[at + 4]:
                sif[at + 25:at + 33] = (1 << 60).to_bytes(8, "little")
        (folder / "long.sif").write_bytes(sif)
        self.refused(self.slipway("exec", folder / "long.sif", "true"), "long.sif")

    def test_an_image_that_lets_nobody_in_says_which_folder_and_what_to_do(self):
        folder = self.scratch()
        root = folder / "root"
        (root / "proc").mkdir(parents=True)
        root.chmod(0o700)  # as mktemp -d makes it
        t.run([t.SLIPWAY, "build", "-q", folder / "closed.sif", root], check=0)
        os.chmod(folder / "closed.sif", 0o644)
        self.refused(self.slipway("exec", folder / "closed.sif", "sh"), "the image's folder /", "chmod")

    def test_an_image_without_a_shell_runs_programs_and_says_what_it_lacks(self):
        folder = self.scratch()
        root = folder / "root"
        (root / "bin").mkdir(parents=True)
        source = folder / "hello.c"
        source.write_text('#include <unistd.h>\nint main(void) { return write(1, "static\\n", 7) == 7 ? 5 : 1; }\n')
        subprocess.run(["gcc", "-static", "-o", root / "bin/hello", source], check=True)
        self.assertEqual(self.slipway("exec", root, "/bin/hello", check=5).stdout, "static\n")
        self.refused(self.slipway("shell", root), "/bin/sh", code=127)

    def test_a_program_for_another_machine_is_said(self):
        folder = self.scratch()
        root = folder / "root"
        (root / "bin").mkdir(parents=True)
        binary = bytearray(pathlib.Path("/bin/true").read_bytes())
        binary[18:20] = (183).to_bytes(2, "little")  # EM_AARCH64
        (root / "bin/arm").write_bytes(binary)
        (root / "bin/arm").chmod(0o755)
        self.refused(self.slipway("exec", root, "/bin/arm"), "/bin/arm", code=126)

    def test_nothing_is_left_when_the_front_is_killed(self):
        process = subprocess.Popen([t.SLIPWAY, "exec", self.sif, "sh", "-c", "echo up; exec sleep 1000"], stdout=subprocess.PIPE, text=True,
                                   cwd=self.user.pw_dir, env={"HOME": self.user.pw_dir, "PATH": os.environ["PATH"], "USER": self.user.pw_name},
                                   **({"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []} if t.ROOT else {}))
        self.assertEqual(process.stdout.readline(), "up\n")
        process.kill()
        process.wait()
        if t.ROOT:
            def alone():
                return not [p for p in pathlib.Path("/proc").glob("[0-9]*") if self.owned(p)]
            t.wait_until("every process of the container has ended", alone, 20)
        process.stdout.close()

    def owned(self, proc):
        try:
            return proc.stat().st_uid == self.user.pw_uid and (proc / "stat").read_text().split(")")[1].split()[0] != "Z"
        except OSError:
            return False

    def test_inspect_says_what_is_in_the_image(self):
        info = json.loads(t.run([t.SLIPWAY, "inspect", "--json", self.sif], check=0).stdout)
        self.assertEqual(info["labels"]["org.opencontainers.image.title"], "slipway-tiny")
        self.assertIn("slipway-tiny", t.run([t.SLIPWAY, "inspect", self.sif], check=0).stdout)

    def test_sif_list_shows_the_objects(self):
        text = t.run([t.SLIPWAY, "sif", "list", self.sif], check=0).stdout
        self.assertRegex(text.lower(), r"squashfs")
        self.assertRegex(text.lower(), r"def")

    def test_build_from_a_directory_and_back(self):
        folder = self.scratch()
        root = folder / "root"
        (root / "etc").mkdir(parents=True)
        (root / "etc/mark").write_text("packed\n")
        for path in [folder, *folder.rglob("*")]:
            os.chown(path, self.user.pw_uid, self.user.pw_gid)
        self.slipway("build", folder / "out.sif", root, check=0)
        listed = self.slipway("sif", "list", folder / "out.sif", check=0).stdout
        self.assertIn("quashfs", listed)

    def test_an_unknown_option_names_the_nearest(self):
        done = self.slipway("exec", "--bnd", "/x", self.sif, "true")
        self.assertEqual(done.returncode, 125, done.stderr)
        self.assertIn("--bind", done.stderr)


if __name__ == "__main__":
    unittest.main()
