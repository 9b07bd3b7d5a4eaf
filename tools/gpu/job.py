#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Whether jobs can use this host's GPUs: a cluster of one virtual node, an image without any driver in its catalogue.

    python3 tools/gpu/job.py IMAGE      IMAGE: a SIF with sh, ls, env and tools/gpu's probe as gpu-probe

For a host that has one; part of tools/gpu-check --jobs IMAGE. SLIPWAY_BUILD names the build folder, as in tests/.
"""
import json
import pathlib
import re
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests/support"))
import slipway_testing as t  # noqa: E402

GPUS = sorted(p.name for p in pathlib.Path("/dev").glob("nvidia[0-9]*"))


class GpuJobs(t.ClusterTest):
    NODES = 1
    IMAGES = ()

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.cluster("image", "add", cls.IMAGE, "gpu", check=0, timeout=300)

    def launch(self, *options, program):
        return self.cluster("launch", "-n1", *options, "--image", "gpu", "--mpi=none", "--", *program, check=0)

    def test_the_agent_tells_the_scheduler_of_the_hosts_gpus(self):
        node = self.cluster.json("nodes")["nodes"][0]
        print("    the scheduler knows:", json.dumps({k: v for k, v in node.items() if "gpu" in k}), file=sys.stderr)
        self.assertEqual(sum(int(kind["count"]) for kind in node["gpus"]), len(GPUS))

    def test_a_jobs_program_computes_on_the_gpu_that_it_was_given(self):
        done = self.launch("--gpus", "1", program=["gpu-probe"])
        print(re.sub("^", "    ", done.stdout.strip(), flags=re.M), file=sys.stderr)
        self.assertIn("kernel ok", done.stdout)
        self.assertEqual(len(re.findall("^gpu ", done.stdout, re.M)), 1)

    def test_nvidia_smi_of_the_host_works_in_the_job(self):
        self.assertIn("GPU 0", self.launch("--gpus", "1", program=["nvidia-smi", "-L"]).stdout)

    def test_what_a_job_used_of_its_gpu_is_on_record(self):
        job = self.launch("--gpus", "1", program=["sh", "-c", "echo $SLIPWAY_JOB_ID; exec gpu-probe 8"]).stdout.split()[0]
        part = self.cluster.wait_end(job)["steps"][0]["parts"][0]
        print("    used:", json.dumps({k: v for k, v in part.items() if "gpu" in k or "energy" in k}), part["libraries"], file=sys.stderr)
        self.assertGreater(part["gpu_watched_us"], 3_000_000)
        self.assertGreater(part["gpu_busy_us"], 0)
        self.assertGreater(part["gpu_memory_peak_bytes"], 0)
        self.assertGreater(part["gpu_energy_mj"], 0)

    def test_a_job_without_gpus_sees_none(self):
        said = self.launch(program=["sh", "-c", "ls /dev; gpu-probe || echo none here"]).stdout
        self.assertNotRegex(said, r"(?m)^nvidia\d")
        self.assertIn("none here", said)


if __name__ == "__main__":
    GpuJobs.IMAGE = str(pathlib.Path(sys.argv.pop(1)).resolve())
    unittest.main(verbosity=2)
