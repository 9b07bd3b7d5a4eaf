#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Devices by CDI and the admin's OCI hooks, in `slipway exec` and in jobs.

Their files belong to /etc: the test lays a file system of its own over it, in a mount namespace of its own.
"""
import ctypes
import json
import os
import pathlib
import tempfile
import unittest

import slipway_testing as t

CLONE_NEWNS = 0x20000
MS_REC_PRIVATE = 0x44000
CDI = pathlib.Path("/etc/cdi")
HOOKS = pathlib.Path("/etc/containers/oci/hooks.d")


def own_etc():
    """Until this process ends, what is written to /etc is seen by it and its children only."""
    libc = ctypes.CDLL(None, use_errno=True)

    def check(result):
        if result != 0:
            raise OSError(ctypes.get_errno(), "no mount namespace with an /etc of its own")
    check(libc.unshare(CLONE_NEWNS))
    check(libc.mount(None, b"/", None, MS_REC_PRIVATE, None))
    scratch = tempfile.mkdtemp(prefix="slipway-etc-")
    check(libc.mount(b"tmpfs", scratch.encode(), b"tmpfs", 0, b"mode=0755"))
    for name in ("upper", "work"):
        os.mkdir(f"{scratch}/{name}")
    check(libc.mount(b"overlay", b"/etc", b"overlay", 0, f"lowerdir=/etc,upperdir={scratch}/upper,workdir={scratch}/work".encode()))
    libc.umount2(scratch.encode(), 2)
    os.rmdir(scratch)
    for folder in (CDI, HOOKS):
        folder.mkdir(parents=True, exist_ok=True)


def setUpModule():
    if not t.ROOT:
        raise unittest.SkipTest("needs root: files in /etc")
    own_etc()


class Devices(t.ClusterTest):
    NODES = 1
    IMAGES = ("tiny",)

    def setUp(self):
        self.out = tempfile.mkdtemp(prefix="hooks-", dir=self.home)  # /tmp is a node's own
        os.chmod(self.out, 0o777)
        self.addCleanup(t.shutil.rmtree, self.out)
        self.addCleanup(self.clear)

    def clear(self):
        for folder in (CDI, HOOKS):
            for file in folder.iterdir():
                file.unlink()

    def offer(self, **edits):
        (CDI / "vendor.json").write_text(json.dumps({"cdiVersion": "1.0.0", "kind": "vendor.com/gpu", "devices": [
            {"name": "0", "containerEdits": {"deviceNodes": [{"path": "/dev/vendor0", "hostPath": "/dev/zero"}], **edits}},
            {"name": "1", "containerEdits": {"deviceNodes": [{"path": "/dev/vendor1", "hostPath": "/dev/null"}]}}],
            "containerEdits": {"env": ["VENDOR=yes"], "mounts": [
                {"hostPath": "/etc/debian_version", "containerPath": "/opt/vendor/version", "options": ["ro", "nodev", "noexec", "rbind"]}]}}))

    def hook(self, name, *stages, script, **when):
        (HOOKS / f"{name}.json").write_text(json.dumps({"version": "1.0.0", "hook": {
            "path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/usr/bin:/bin", f"OUT={self.out}"], "timeout": 60},
            "when": when or {"always": True}, "stages": list(stages)}))

    def exec(self, *argv, check=0):
        return t.run([t.SLIPWAY, "exec", *argv], user=self.account.entry, check=check)

    LOOK = "head -c 4 /dev/vendor0 | od -An -tx1; ls /dev | grep vendor; echo $VENDOR; cat /opt/vendor/version; grep vendor/version /proc/self/mountinfo"

    def check_seen(self, said):
        version = pathlib.Path("/etc/debian_version").read_text()
        lines = said.splitlines()
        self.assertEqual(lines[:4], [" 00 00 00 00", "vendor0", "yes", version.strip()], said)
        self.assertIn(" ro,nosuid,nodev,noexec", lines[4])

    def test_a_device_by_name_in_exec(self):
        self.offer()
        self.check_seen(self.exec("--device", "vendor.com/gpu=0", self.tiny, "sh", "-c", self.LOOK).stdout)
        self.assertEqual(self.exec("--device", "vendor.com/gpu=all", self.tiny, "sh", "-c", "ls /dev | grep vendor").stdout, "vendor0\nvendor1\n")

    def test_a_device_by_name_in_a_job(self):
        self.offer()
        done = self.cluster("launch", "-n1", "--image", "tiny", "--device", "vendor.com/gpu=0", "--", "sh", "-c", self.LOOK, check=0)
        self.check_seen(done.stdout)

    def test_a_device_that_is_not_there_is_one_line(self):
        self.offer()
        done = self.exec("--device", "vendor.com/gpu=7", self.tiny, "true", check=125)
        self.assertEqual(done.stderr, "slipway: --device: vendor.com/gpu=7: this node has no such device; of that kind: 0, 1\n")
        done = self.cluster("launch", "-n1", "--image", "tiny", "--device", "vendor.com/gpu=7", "--", "true")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("vendor.com/gpu=7: this node has no such device", done.stdout + done.stderr)

    def test_hooks_run_at_every_stage_in_the_order_of_a_containers_life(self):
        for stage in ("poststop", "poststart", "startContainer", "createContainer", "createRuntime", "prestart"):
            self.hook(stage, stage, script=f'echo {stage} "$(cat)" >> $OUT/stages')
        self.exec(self.tiny, "true")
        lines = pathlib.Path(self.out, "stages").read_text().splitlines()
        self.assertEqual([line.split()[0] for line in lines],
                         ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"])
        states = [json.loads(line.split(" ", 1)[1]) for line in lines]
        self.assertEqual(len({state["id"] for state in states}), 1)
        self.assertEqual([state["status"] for state in states], ["creating", "creating", "creating", "created", "running", "stopped"])
        self.assertEqual([name for name in os.listdir("/tmp") if name.startswith("slipway-bundle-")], [])

    def test_an_instances_hooks_run_as_it_comes_and_goes(self):
        self.addCleanup(t.run, [t.SLIPWAY, "instance", "stop", "--all"], user=self.account.entry)
        for stage in ("poststop", "poststart", "startContainer", "createContainer", "createRuntime", "prestart"):
            self.hook(stage, stage, script=f'cat > /dev/null; echo {stage} >> $OUT/stages')
        stages = pathlib.Path(self.out, "stages")
        t.run([t.SLIPWAY, "instance", "start", self.tiny, "hooked"], user=self.account.entry, check=0)
        begun = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart"]
        self.assertEqual(stages.read_text().split(), begun)
        self.exec("instance://hooked", "true")
        t.run([t.SLIPWAY, "instance", "stop", "hooked"], user=self.account.entry, check=0)
        self.assertEqual(stages.read_text().split(), [*begun, "poststop"])
        self.hook("prestart", "prestart", script="echo the disk is on fire >&2; exit 3")
        done = t.run([t.SLIPWAY, "instance", "start", self.tiny, "hooked"], user=self.account.entry, check=125)
        self.assertEqual(done.stderr, "slipway: instance hooked: hook /bin/sh (prestart): exit code 3: the disk is on fire\n")

    def test_a_createcontainer_hook_finds_the_root_by_the_bundle(self):
        self.hook("root", "createContainer", script='cp /mnt/bundle/config.json $OUT/config; ls "$(sed "s/.*\\"root\\":{\\"path\\":\\"\\([^\\"]*\\).*/\\1/" '
                  '/mnt/bundle/config.json)/.singularity.d" > $OUT/root; id -u >> $OUT/root')
        said = self.exec(self.tiny, "sh", "-c", "ls /mnt; grep -c slipway /proc/self/mountinfo").stdout
        config = json.loads(pathlib.Path(self.out, "config").read_text())
        self.assertEqual(config["process"]["args"][0], "sh")
        self.assertIn("env\n", pathlib.Path(self.out, "root").read_text())
        self.assertTrue(pathlib.Path(self.out, "root").read_text().endswith(f"\n{self.account.entry.pw_uid}\n"))
        self.assertEqual(said.splitlines()[0].isdigit(), True, "the hooks' place is left in the container: " + said)

    def test_a_hook_that_fails_starts_nothing_and_says_its_last_word(self):
        for stage in ("prestart", "createContainer", "startContainer"):
            self.hook("only", stage, script="echo the disk is on fire >&2; exit 3")
            done = self.exec(self.tiny, "echo", "started", check=125)
            self.assertEqual((done.stdout, done.stderr), ("", f"slipway: hook /bin/sh ({stage}): exit code 3: the disk is on fire\n"))

    def test_a_hook_is_chosen_by_the_command(self):
        self.hook("sh", "createContainer", script="touch $OUT/ran", commands=["(^|/)sh$"])
        self.exec(self.tiny, "true")
        self.assertEqual(os.listdir(self.out), [])
        self.exec(self.tiny, "sh", "-c", "true")
        self.assertEqual(os.listdir(self.out), ["ran"])

    # NVIDIA's CVE-2025-23266: what the image or the user sets must not reach a hook.
    def test_cve_2025_23266_nothing_of_the_container_is_in_a_hooks_environment(self):
        for stage in ("prestart", "createContainer", "startContainer", "poststart", "poststop"):
            self.hook(stage, stage, script=f"env > $OUT/{stage}")
        t.run([t.SLIPWAY, "exec", "--env", "LD_PRELOAD=/tmp/evil.so", self.tiny, "true"], user=self.account.entry,
              env={"SLIPWAYENV_EVIL": "1", "EVIL": "1"})
        for file in pathlib.Path(self.out).iterdir():
            names = {line.split("=")[0] for line in file.read_text().splitlines()}
            self.assertLessEqual(names, {"PATH", "OUT", "PWD", "SHLVL", "_"}, file.name)
        self.assertEqual(len(os.listdir(self.out)), 5)

    def test_a_jobs_hooks_have_no_privilege_and_see_no_other_image(self):
        self.hook("look", "createContainer", script='grep -E "^(Cap|NoNew)" /proc/self/status > $OUT/caps; '
                  'find / -xdev -name ".singularity.d" -maxdepth 1 > $OUT/found; awk \'/squashfs/ {print $5}\' /proc/self/mountinfo > $OUT/places; for p in $(cat $OUT/places); do ls -d "$p"; done > $OUT/reached 2>/dev/null; ls -d /mnt/rootfs/.singularity.d >> $OUT/found')
        self.cluster("launch", "-n1", "--image", "tiny", "--", "true", check=0)
        caps = dict(line.split(":\t") for line in pathlib.Path(self.out, "caps").read_text().splitlines())
        for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            self.assertEqual(int(caps[name], 16), 0, name)
        self.assertEqual(pathlib.Path(self.out, "found").read_text(), "/mnt/rootfs/.singularity.d\n")
        # Where images are attached is no secret, but what is there is.
        self.assertNotEqual(pathlib.Path(self.out, "places").read_text(), "")
        self.assertEqual(pathlib.Path(self.out, "reached").read_text(), "")

    def test_an_admins_hook_for_outside_does_not_stop_jobs(self):
        self.hook("out", "prestart", script="touch $OUT/ran")
        self.cluster("launch", "-n1", "--image", "tiny", "--", "true", check=0)
        self.assertEqual(os.listdir(self.out), [])

    def test_a_broken_hook_file_is_named(self):
        (HOOKS / "bad.json").write_text("{}")
        done = self.exec(self.tiny, "true", check=125)
        self.assertIn("hooks.d/bad.json: version: missing", done.stderr)


if __name__ == "__main__":
    unittest.main()
