#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Jobs on a node with two GPUs that its agent found: a made-up host's tree, no setting that speaks of them."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time
import unittest

import slipway_testing as t

VERSION = "550.54.14"
ENERGY = "sys/class/powercap/intel-rapl:0/energy_uj"


def put(path, text=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def make_host(root):
    put(root / "proc/driver/nvidia/version", f"NVRM version: NVIDIA UNIX x86_64 Kernel Module  {VERSION}  Thu Feb 22\n")
    for minor in (0, 1):
        pci = f"0000:0{minor + 1}:00.0"
        put(root / f"proc/driver/nvidia/gpus/{pci}/information", f"Model: \t NVIDIA A100-SXM4-40GB\nGPU UUID: \t GPU-{minor}\nDevice Minor: \t {minor}\n")
        put(root / f"sys/bus/pci/devices/{pci}/numa_node", "0\n")
        put(root / f"dev/nvidia{minor}")
    for node in ("nvidiactl", "nvidia-uvm", "xpmem"):
        put(root / f"dev/{node}")
    library = root / f"usr/lib/x86_64-linux-gnu/libcuda.so.{VERSION}"
    library.parent.mkdir(parents=True)
    source = pathlib.Path(__file__).parents[2] / "tools/gpu/fake_cuda.c"
    # Asked for its GPUs' use by slipway-gpu; and a socket's RAPL counter.
    shutil.copy(t.BUILD / "hooks/gpu/libfake_nvml.so", library.parent / "libnvidia-ml.so.1")
    put(root / "sys/class/powercap/intel-rapl:0/name", "package-0\n")
    put(root / "sys/class/powercap/intel-rapl:0/max_energy_range_uj", "262143328850\n")
    put(root / ENERGY, "1000000\n")
    subprocess.run(["cc", "-shared", "-fPIC", "-Wl,-soname,libcuda.so.1", "-o", library, source], check=True)


class Gpus(t.ClusterTest):
    NODES = 1
    IMAGES = ("tiny",)

    @classmethod
    def setUpClass(cls):
        # /tmp is a node's own; what dev up shares is not.
        cls.tree = pathlib.Path(tempfile.mkdtemp(prefix="slipway-gpus-"))
        os.chmod(cls.tree, 0o755)
        cls.addClassCleanup(t.shutil.rmtree, cls.tree)
        make_host(cls.tree)
        cls.OPTIONS = {"host-tree": cls.tree, "share": cls.tree}
        super().setUpClass()

    def devices(self, said):
        return sorted(re.findall(r"^(nvidia\d)$", said, re.M))

    def test_the_scheduler_knows_them_without_a_setting(self):
        nodes = json.loads(self.cluster("nodes", "--json", check=0).stdout)
        self.assertIn('"a100"', json.dumps(nodes))

    def test_a_job_has_the_gpus_that_it_asked_for_and_the_drivers_library(self):
        done = self.cluster("launch", "-n1", "--gpus", "1", "--image", "tiny", "--", "sh", "-c", "ls /dev /.singularity.d/libs; env", check=0)
        self.assertEqual(self.devices(done.stdout), ["nvidia0"], done.stdout)
        self.assertIn("CUDA_VISIBLE_DEVICES=GPU-0\n", done.stdout)
        self.assertIn("libcuda.so.1\n", done.stdout)
        self.assertIn("xpmem\n", done.stdout)
        none = self.cluster("launch", "-n1", "--image", "tiny", "--", "ls", "/dev", check=0)
        self.assertEqual(self.devices(none.stdout), [])

    def one_that_uses(self, seconds):
        """A job that runs so long, while the node uses 7 J; its step's part as `slipway job --json` has it."""
        put(self.tree / ENERGY, "1000000\n")
        job = self.cluster.popen("launch", "-n1", "--gpus", "1", "--image", "tiny", "--", "sh", "-c", "echo $SLIPWAY_JOB_ID; read line")
        job_id = job.stdout.readline().strip()
        put(self.tree / ENERGY, "8000000\n")
        time.sleep(seconds)
        job.communicate("go\n", timeout=60)
        return self.cluster.wait_end(job_id)

    def test_what_a_step_used_comes_to_the_controllers_record(self):
        # A look at the GPUs is a second away; on a busy machine several.
        for seconds in (3, 6, 12, 24):
            job = self.one_that_uses(seconds)
            part = job["steps"][0]["parts"][0]
            if part["gpu_watched_us"]:
                break
        self.assertEqual((part["energy_mj"], part["node_energy_mj"]), (7000, 7000), part)
        self.assertGreater(part["gpu_busy_us"], 0)
        self.assertAlmostEqual(part["gpu_busy_us"] / part["gpu_watched_us"], 0.5, delta=0.01)
        self.assertEqual(part["gpu_memory_peak_bytes"], 2 << 30)
        self.assertGreater(part["gpu_energy_mj"], 0)
        self.assertIn(f"libcuda.so.{VERSION}", part["libraries"])
        self.assertTrue(part["binding"])
        self.assertRegex(job["steps"][0]["image_digest"], "^sha256:[0-9a-f]{64}$")
        row = self.cluster.by_name("sacct", "-nP", "-j", job["job_id"], "-o", "JobID,ConsumedEnergyRaw,TRESUsageInAve", check=0).stdout
        step = row.splitlines()[1].split("|")
        self.assertGreaterEqual(int(step[1]), 7)
        self.assertIn("gres/gpumem=2048M,gres/gpuutil=50", step[2])

    def test_two_jobs_at_once_have_different_ones(self):
        first = self.cluster.popen("launch", "-n1", "-c1", "--gpus", "1", "--image", "tiny", "--", "sh", "-c", "ls /dev; echo there; read line")
        said = ""
        while "there\n" not in said:
            line = first.stdout.readline()
            self.assertTrue(line, said)
            said += line
        second = self.cluster("launch", "-n1", "-c1", "--gpus", "1", "--image", "tiny", "--", "ls", "/dev", check=0)
        first.communicate("go\n", timeout=60)
        self.assertEqual(sorted(self.devices(said) + self.devices(second.stdout)), ["nvidia0", "nvidia1"])

    def test_one_that_falls_off_the_bus_in_a_job_drains_its_node_by_name_until_it_is_back(self):
        """The job is not ended for it: its program is told by its own calls, and may have what it needs already."""
        def reaches(state, reason):
            t.wait_until(f"the node is {state} with '{reason}'",
                         lambda: (lambda node: (node["state"], node.get("reason", "")) == (state, reason))(self.cluster.node("n1")))
        self.cluster.set_agent("n1", health_interval="1s")
        reaches("UP", "")
        job = self.cluster.popen("launch", "-n1", "--gpus", "1", "--image", "tiny", "--", "sh", "-c", "echo $SLIPWAY_JOB_ID; read line; exit 4")
        job_id = job.stdout.readline().strip()
        registers = self.tree / "sys/bus/pci/devices/0000:01:00.0/config"
        registers.write_bytes(b"\xff" * 64)
        fallen = "health: GPU 0000:01:00.0 has fallen off the bus: it needs a reset or a reboot"
        reaches("DRAINING", fallen)
        job.communicate("go\n", timeout=60)
        self.assertEqual((job.returncode, self.cluster.wait_end(job_id)["exit_code"]), (4, 4))
        reaches("DRAINED", fallen)
        registers.unlink()
        reaches("UP", "")

    def test_each_rank_is_told_of_its_own(self):
        done = self.cluster("launch", "-n2", "-c1", "--gpus-per-task", "1", "--image", "tiny", "--", "sh", "-c", "echo $CUDA_VISIBLE_DEVICES", check=0)
        self.assertEqual(sorted(done.stdout.split()), ["GPU-0", "GPU-1"])

    def test_a_job_cannot_name_one_by_itself(self):
        done = self.cluster("launch", "-n1", "--image", "tiny", "--device", "nvidia.com/gpu=all", "--", "true")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("asks for GPUs with --gpus", done.stderr)


if __name__ == "__main__":
    unittest.main()
