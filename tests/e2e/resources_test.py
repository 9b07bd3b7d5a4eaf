#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a step is given of a node, and what is kept of its use: binding, distribution, limits of the shell, figures."""
import re
import resource
import unittest

import slipway_testing as t


class Resources(t.ClusterTest):
    NODES = 2
    CORES = None
    IMAGES = ("tiny",)

    def launch(self, *options, command=("true",), **how):
        return self.cluster("launch", "--mpi=none", "--image", "tiny", *options, "--", *command, **how)

    def last_job(self):
        return max(job["job_id"] for job in self.cluster.json("jobs", "--all")["jobs"])

    def test_nodes_say_what_they_cannot_hold(self):
        """Here no controller may be there at all; whatever is missing is named, with those that are missing for the same reason."""
        for node in self.cluster.json("nodes")["nodes"]:
            said = {line.split(":")[0] for line in node["cannot"]}
            self.assertLessEqual(said, {"processes", "memory", "pids", "cpu", "cpuset", "io", "hugetlb", "devices", "io.weight",
                                        "memory.oom.group", "memory.swap.max", "memory.high", "cpu.weight", "cpuset.mems"})
            row = next(line for line in self.cluster("nodes").stdout.splitlines() if line.split()[0] == node["name"])
            for limit in said:
                self.assertRegex(row, rf"\b{re.escape(limit)}(, [\w.]+)*: ")

    def test_ranks_are_dealt_to_nodes_as_asked(self):
        script = ("sh", "-c", "echo $SLIPWAY_RANK $SLIPWAY_NODE_INDEX")
        lines = self.launch("-N2", "-n2", command=script).stdout.splitlines()
        self.assertEqual(sorted(lines), ["0 0", "1 1"])
        lines = self.launch("-N2", "-n4", "--ntasks-per-node=2", "-m", "cyclic", command=script).stdout.splitlines()
        self.assertEqual(sorted(lines), ["0 0", "1 1", "2 0", "3 1"])
        lines = self.launch("-N2", "-n4", "--ntasks-per-node=2", "-m", "block", command=script).stdout.splitlines()
        self.assertEqual(sorted(lines), ["0 0", "1 0", "2 1", "3 1"])

    def test_a_bound_rank_has_its_processors_and_everybody_can_see_them(self):
        done = self.launch("-n1", "--cpu-bind=verbose,threads", command=("grep", "Cpus_allowed_list", "/proc/self/status"))
        cpu = done.stdout.split()[1]
        self.assertTrue(cpu.isdigit(), done.stdout)
        self.assertIn(f"rank 0 (0 here): processors {cpu}", done.stderr)
        step = self.cluster.job(self.last_job())["steps"][0]
        self.assertEqual(step["parts"][0]["binding"], f"threads 0:{cpu}")
        self.assertIn(f"threads 0:{cpu}", self.cluster("job", str(self.last_job())).stdout)

    def test_a_hint_says_what_a_rank_has_of_a_core(self):
        def allowed(hint):
            return self.launch("-n1", f"--hint={hint}", "--cpu-bind=cores", command=("grep", "Cpus_allowed_list", "/proc/self/status")).stdout.split()[1]
        one = allowed("nomultithread")
        self.assertTrue(one.isdigit(), f"one thread of a core, not {one}")
        for hint in ("multithread", "compute_bound", "memory_bound"):
            self.assertRegex(allowed(hint), r"^\d+([,-]\d+)*$")

    def test_processors_of_others_are_refused_by_number(self):
        done = self.launch("-n1", "--cpu-bind=map_cpu:8000", check=125)
        self.assertIn("processor 8000 is not one of the step's here", done.stderr)

    def test_words_that_mean_nothing_are_refused_before_anything_is_asked(self):
        for option in ("--cpu-bind=core", "--distribution=spread", "--hint=fast", "--mem-bind=far", "--propagate=FILES"):
            done = self.launch("-n1", option)
            self.assertNotEqual(done.returncode, 0, done)
            self.assertIn(option.split("=")[0], done.stderr)

    def test_what_a_step_used_is_kept(self):
        self.launch("-n1", command=("sh", "-c", "n=0; while [ $n -lt 200000 ]; do n=$((n+1)); done"))
        job = self.cluster.job(self.last_job())
        [part] = job["steps"][0]["parts"]
        self.assertEqual(part["node"], job["nodes"][0])
        if any(line.startswith("processes:") for node in self.cluster.json("nodes")["nodes"] for line in node["cannot"]):
            self.skipTest("no cgroup v2 here: nothing is known")
        self.assertGreater(part["cpu_us"], 10_000)

    def test_limits_of_the_shell_go_along_when_they_are_asked_to(self):
        soft = min(333, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
        own = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, own[1]))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, own)
        self.assertEqual(self.launch("-n1", "--propagate=NOFILE", command=("sh", "-c", "ulimit -n")).stdout.strip(), str(soft))
        self.assertNotEqual(self.launch("-n1", command=("sh", "-c", "ulimit -n")).stdout.strip(), str(soft))

    def test_a_shells_niceness_and_core_files_go_along_too(self):
        launch = f"{t.SLIPWAY} launch --mpi=none --image tiny -n1 --propagate=NICE,CORE -- sh -c 'cut -d\" \" -f19 /proc/self/stat; ulimit -c'"
        for nice, core in ((7, 8), (3, 0)):
            done = t.run(["nice", "-n", str(nice), "sh", "-c", f"ulimit -Sc {core} && exec {launch}"], user=self.account.entry,
                         env={"SLIPWAY_CONTEXT": self.cluster.context}, check=0)
            self.assertEqual(done.stdout.split(), [str(nice), str(core)], done.stderr)

    def test_programs_run_around_a_step_where_it_is_launched(self):
        log = self.home / "step-programs"
        prolog, epilog = (self.script(f"step-{which}", f"echo {which} $* $SLIPWAY_JOB_ID >> {log}", f"exit {code}") for which, code in (("prolog", 0), ("epilog", 3)))
        for path in (prolog, epilog):
            path.chmod(0o755)
        done = self.launch("-n2", f"--prolog={prolog}", f"--epilog={epilog}", command=("sh", "-c", f"echo a step >> {log}; exit 7"), check=7)
        lines = log.read_text().splitlines()
        self.assertEqual([line.split()[0] for line in lines], ["prolog", *["a"] * (len(lines) - 2), "epilog"])
        self.assertIn("prolog sh -c", lines[0])
        self.assertIn(f"--epilog {epilog}: exit code 3", done.stderr)
        gone = self.launch("-n1", "--prolog=/not-there", command=("true",), check=0)
        self.assertIn("--prolog /not-there", gone.stderr)
        log.unlink()
        self.launch("-n1", "--test-only", f"--prolog={prolog}", f"--epilog={epilog}")
        self.assertFalse(log.exists(), "nothing was to be started")
        inside = f"slipway launch -n1 --prolog={prolog} -- true"
        job = self.cluster.submit("--image", "tiny", "-n", 1, "--output", "/dev/null", "--wrap", inside)
        self.assertEqual(self.cluster.wait_end(job)["exit_code"], 0)
        self.assertEqual(log.read_text().split(), ["prolog", "true", str(job)])

    def test_programs_run_around_each_rank(self):
        prolog = self.script("task-prolog", "echo export FROM_PROLOG=rank-$SLIPWAY_RANK", "echo print hello of $SLIPWAY_RANK")
        epilog = self.script("task-epilog", f"echo $SLIPWAY_RANK >> {self.home}/epilogs")
        for path in (prolog, epilog):
            path.chmod(0o755)
        done = self.launch("-n2", f"--task-prolog={prolog}", f"--task-epilog={epilog}", command=("sh", "-c", "echo $FROM_PROLOG"), check=0)
        self.assertEqual(sorted(done.stdout.splitlines()), ["hello of 0", "hello of 1", "rank-0", "rank-1"])
        self.assertEqual(sorted((self.home / "epilogs").read_text().split()), ["0", "1"])
        failed = self.launch("-n1", f"--task-prolog={self.home}/not-there", check=125)
        self.assertIn("not-there", failed.stderr)


if __name__ == "__main__":
    unittest.main()
