#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A job whose image is in a registry is one command, from Debian's docker-registry on loopback."""
import base64
import json
import os
import shutil
import subprocess
import sys
import unittest

import slipway_testing as t
from terminal import name

sys.path.insert(0, str(t.SOURCE / "tests" / "interop"))
import registry_test
from oci_layout import Layout, layer


@unittest.skipUnless(all(map(shutil.which, registry_test.NEEDED)), f"not all of {', '.join(registry_test.NEEDED)} are installed")
class RegistryJobs(t.ClusterTest):
    NODES = 1
    IMAGES = ("tiny",)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.registry = registry_test.Registry()
        cls.addClassCleanup(cls.registry.close)
        user = cls.cluster.user
        # What this machine's account may not read: the registry's folder is its maker's.
        ca = cls.home / "ca.crt"
        shutil.copy(cls.registry.ca, ca)
        (cls.home / ".docker").mkdir(exist_ok=True)
        auth = base64.b64encode(f"{registry_test.USER}:{registry_test.PASSWORD}".encode()).decode()
        (cls.home / ".docker" / "config.json").write_text(json.dumps({"auths": {cls.registry.host: {"auth": auth}}}))
        for path in (ca, cls.home / ".docker", cls.home / ".docker" / "config.json"):
            os.chown(path, user.pw_uid, user.pw_gid)
        cls.env = {"SLIPWAY_CONTEXT": cls.cluster.context, "SLIPWAY_CA_FILE": str(ca)}
        # As much of a system as is asked for here: what is brought is packed by Python, unpacked and packed again, each time.
        whole, cls.root = cls.home / "whole", cls.home / "root"
        subprocess.run([t.SLIPWAY, "build", "--sandbox", str(whole), str(cls.tiny)], check=True, capture_output=True)
        for folder in ("etc", "usr/bin", "usr/lib/x86_64-linux-gnu", "usr/lib64"):
            (cls.root / folder).mkdir(parents=True)
        for link in ("bin", "lib", "lib64"):
            (cls.root / link).symlink_to(f"usr/{link}")
        for file in ("bin/sh", "bin/cat", "bin/echo", "lib64/ld-linux-x86-64.so.2", "lib/x86_64-linux-gnu/libc.so.6"):
            shutil.copy(whole / "usr" / file, cls.root / "usr" / file)
        shutil.rmtree(whole)

    def fill(self, reference, word):
        layout = Layout(str(self.home / f"layout-{word}"))
        layout.index([layout.manifest([layer((".", ("tree", str(self.root)))), layer(("word.txt", word.encode()))],
                                      config={"Env": ["PATH=/usr/bin:/bin"], "Entrypoint": ["/bin/echo", "entered"]})], "v1")
        self.registry.fill(f"oci:{layout.path}:v1", reference)

    def run_as_user(self, command, *argv, **options):
        return t.run([name(command), *argv], user=self.cluster.user, env=self.env, timeout=300, **options)

    def test_one_command_is_enough_and_what_is_unchanged_is_not_brought_again(self):
        self.fill("hpc/one:1", "first")
        image = f"--container-image={self.registry.host}#hpc/one:1"
        done = self.run_as_user("srun", image, "cat", "/word.txt", check=0)
        self.assertEqual(done.stdout, "first")
        own = f"{self.cluster.user.pw_name}/{self.registry.host.replace(':', '-')}-hpc-one:1"
        self.assertIn(f" is {own} in the cluster now", done.stderr)
        again = self.run_as_user("srun", image, "cat", "/word.txt", check=0)
        self.assertEqual((again.stdout, again.stderr), ("first", ""))
        listed = {i["name"]: i for i in self.cluster.json("image", "ls")["images"]}
        self.assertEqual(listed[own]["visibility"], "private")
        # A tag that moved is seen.
        self.fill("hpc/one:1", "second")
        moved = self.run_as_user("srun", f"--image=docker://{self.registry.host}/hpc/one:1", "cat", "/word.txt", check=0)
        self.assertEqual(moved.stdout, "second")
        entered = self.run_as_user("srun", image, "--container-entrypoint", "here", check=0)
        self.assertEqual(entered.stdout, "entered here\n")

    def test_a_script_whose_steps_name_images_needs_no_more(self):
        self.fill("hpc/two:1", "two")
        self.fill("hpc/three:1", "three")
        out = self.home / "steps.out"
        script = self.script("steps.sh", f"#SBATCH -o {out}", f"srun --container-image={self.registry.host}#hpc/two:1 cat /word.txt",
                             "echo", f"srun --container-image {self.registry.host}#hpc/three:1 cat /word.txt")
        done = self.run_as_user("sbatch", "--parsable", script, check=0)
        job = done.stdout.strip()
        self.assertIn("its first step names", done.stderr)
        self.assertEqual(self.cluster.wait_end(job)["state"], "COMPLETED")
        self.assertEqual(out.read_text(), "two\nthree")

    def test_what_the_registry_has_not_is_one_line(self):
        done = self.run_as_user("srun", f"--container-image={self.registry.host}#hpc/none", "true")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("hpc/none", done.stderr)
        self.assertEqual(done.stdout, "")


if __name__ == "__main__":
    unittest.main()
