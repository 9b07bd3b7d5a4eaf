#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Pyxis's options on srun and sbatch."""
import shutil
import unittest

import slipway_testing as t


class Pyxis(t.ClusterTest):
    NODES = 1
    IMAGES = ("tiny",)

    def test_a_path_mounts_and_a_working_directory(self):
        (self.home / "data").mkdir(exist_ok=True)
        (self.home / "data" / "f").write_text("from outside\n")
        done = self.cluster.by_name("srun", f"--container-image={self.tiny}", f"--container-mounts={self.home}/data:/mnt:ro+rprivate",
                            "--container-workdir=/mnt", "sh", "-c", "pwd; cat f; touch x 2>/dev/null || echo read-only",
                            check=0, timeout=240)
        self.assertEqual(done.stdout, "/mnt\nfrom outside\nread-only\n")

    def test_options_of_a_script_and_of_the_environment(self):
        out = self.home / "pyxis.out"
        image = shutil.copy(self.tiny, self.home / "own.sif")  # the script's steps see home, not every path of this host
        script = self.script("pyxis.sh", f"#SBATCH --container-image={image} --container-writable", f"#SBATCH -o {out}",
                             "touch /written && echo wrote", f"srun --container-image={image} echo step")
        job = self.cluster.by_name("sbatch", "--parsable", script, check=0, timeout=240).stdout.strip()
        self.assertEqual(self.cluster.wait_end(job)["state"], "COMPLETED")
        self.assertEqual(out.read_text(), "wrote\nstep\n")
        done = self.cluster.by_name("srun", "echo", "x", env={"PYXIS_CONTAINER_IMAGE": self.tiny}, check=0)
        self.assertEqual(done.stdout, "x\n")

    def test_home_is_left_out_and_variables_win(self):
        done = self.cluster.by_name("srun", f"--container-image={self.tiny}", "--no-container-mount-home", "--container-env=LANG",
                            "sh", "-c", f"ls {self.home} 2>/dev/null | wc -l; echo $LANG", env={"LANG": "xx"}, check=0)
        self.assertEqual(done.stdout, "0\nxx\n")

    def test_what_is_not_had_names_the_cure(self):
        for word, cure in (("--container-name=x", "slipway build"), ("--container-save=/x", "slipway build"),
                           ("--container-remap-root", "--fakeroot"), ("--container-mounts=/a:/b:shiny", "shiny"),
                           ("--container-image=bob@nvcr.io#x", "login")):
            done = self.cluster.by_name("srun", "--container-image=tiny.sif", word, "true")
            self.assertEqual(done.returncode, 2, word)
            self.assertIn(cure, done.stderr)


if __name__ == "__main__":
    unittest.main()
