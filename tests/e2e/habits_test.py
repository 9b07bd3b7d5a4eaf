#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Slurm's names: what users' scripts and fingers type, and what scripts parse of it."""
import re
import unittest

import slipway_testing as t


class Names(t.ClusterTest):
    NODES = 2
    IMAGES = ("tiny",)

    def state(self, job):
        return self.cluster.by_name("squeue", "-h", "-j", job, "-o", "%T", check=0).stdout.strip()

    def sleeper(self, *words):
        job = self.cluster.submit("--image", "tiny", *words, "--wrap", "sleep 600")
        self.addCleanup(self.cluster.wait_end, job)
        self.addCleanup(self.cluster, "cancel", job)
        return job

    def test_a_script_follows_a_job_by_squeue_sacct_and_scontrol(self):
        done = self.cluster.by_name("sbatch", "--image", "tiny", "-J", "follow", "--wrap", "sleep 0.2; exit 3", check=0)
        job = re.fullmatch(r"Submitted batch job (\d+)\n", done.stdout).group(1)
        self.cluster.wait_end(job)
        self.assertEqual(self.cluster.by_name("sacct", "-nXj", job, "-o", "state", check=0).stdout.strip(), "FAILED")
        self.assertEqual(self.cluster.by_name("sacct", "-nXPj", job, "-o", "jobid,state,exitcode", check=0).stdout,
                         f"{job}|FAILED|3:0\n")
        self.assertIn(f"{job}.batch|", self.cluster.by_name("sacct", "-Pj", job, check=0).stdout)
        self.assertRegex(self.cluster.by_name("scontrol", "show", "job", job, check=0).stdout, r"JobState=FAILED Reason=\S")
        self.assertEqual(self.state(job), "FAILED")
        quiet = self.cluster.by_name("sacct", "-X", "--parsable2", "--noheader", "--clusters", "all", "--format=JobIdRaw,State",
                             "--starttime", "now-1hours", "--endtime", "now", "--name", "follow", check=0)
        self.assertEqual((quiet.stdout, quiet.stderr), (f"{job}|FAILED\n", ""))

    def test_squeue_chooses_and_formats(self):
        job = self.sleeper("-J", "chosen", "-N2")
        self.cluster.wait_state(job, "RUNNING")
        user = self.cluster.user.pw_name
        for words in (("-u", user), ("-n", "chosen"), ("-t", "R"), ("-w", "n2"), ("--me",)):
            self.assertIn(f"{job} R\n", self.cluster.by_name("squeue", "-h", *words, "-o", "%i %t", check=0).stdout, words)
        for words in (("-u", "nobody"), ("-n", "other"), ("-t", "PD"), ("-p", "none"), ("-w", "n9")):
            self.assertNotIn(f"{job} ", self.cluster.by_name("squeue", "-h", *words, "-o", "%i ", check=0).stdout, words)
        lines = self.cluster.by_name("squeue", "-j", job, check=0).stdout.splitlines()
        self.assertEqual(lines[0].split(), ["JOBID", "PARTITION", "NAME", "USER", "ST", "TIME", "NODES", "NODELIST(REASON)"])
        self.assertEqual(lines[1].split()[-2:], ["2", "n[1-2]"])
        self.assertEqual(self.cluster.by_name("squeue", "-h", "-j", job, "-O", "JobID:8,State:.10", check=0).stdout,
                         f"{job:<8}   RUNNING\n")
        wrong = self.cluster.by_name("squeue", "-o", "%&")
        self.assertEqual(wrong.returncode, 2)
        self.assertIn("%&", wrong.stderr)

    def test_scancel_takes_what_it_was_told_to_choose_and_nothing_else(self):
        held = {name: self.sleeper("-J", name, "--hold") for name in ("a", "b", "c")}
        runs = self.sleeper("-J", "a", "-w", "n2")
        self.cluster.wait_state(runs, "RUNNING")
        for words in (("-n", "none"), ("-w", "n1"), ("-t", "S"), ("-p", "none"), ("-n", "b", held["a"]), ("--name", "c", "--state", "R")):
            self.cluster.by_name("scancel", *words)
        self.assertEqual([self.state(job) for job in (*held.values(), runs)], ["PENDING"] * 3 + ["RUNNING"])
        # What chooses nothing must not choose all.
        for words in (("-w", ""), ("-n", ""), ("-t", ""), ("-u", ""), ("--nodelist=",)):
            self.assertNotEqual(self.cluster.by_name("scancel", *words).returncode, 0, words)
        self.assertEqual([self.state(job) for job in (*held.values(), runs)], ["PENDING"] * 3 + ["RUNNING"])
        self.cluster.by_name("scancel", "-n", "a", "-t", "PD", check=0)
        self.cluster.by_name("scancel", "--name", "b,c", held["b"], check=0)
        self.assertEqual([self.cluster.wait_end(held[name])["state"] for name in ("a", "b")], ["CANCELLED"] * 2)
        self.assertEqual([self.state(held["c"]), self.state(runs)], ["PENDING", "RUNNING"])
        self.cluster.by_name("scancel", "-w", "n[2-3]", "--me", check=0)
        self.assertEqual(self.cluster.wait_end(runs)["state"], "CANCELLED")

    def test_squeue_and_sinfo_sort_by_columns(self):
        jobs = [self.sleeper("-J", name, "--hold", "-t", limit) for name, limit in (("m", "10"), ("k", "2:00:00"), ("z", "9"))]
        def names(*words):
            return self.cluster.by_name("squeue", "-h", "-j", ",".join(map(str, jobs)), "-o", "%j", *words, check=0).stdout.split()
        self.assertEqual(names("-S", "j"), ["k", "m", "z"])
        self.assertEqual(names("-S", "-j"), ["z", "m", "k"])
        self.assertEqual(names("--sort=l"), ["z", "m", "k"], "9 minutes, 10 minutes, 2 hours")
        self.assertEqual(self.cluster.by_name("sinfo", "-hN", "-o", "%N", "-S", "-N", check=0).stdout.split(), ["n2", "n1"])
        wrong = self.cluster.by_name("squeue", "-S", "?")
        self.assertEqual(wrong.returncode, 2)
        self.assertIn("--sort", wrong.stderr)

    def test_salloc_takes_what_says_when_and_how(self):
        first = self.sleeper("--hold")
        done = self.cluster.by_name("salloc", "--image", "tiny", "-n1", "--signal=USR1@30", "-t", "5", "--comment", "why",
                                    "sh", "-c", "squeue -h -j $SLURM_JOB_ID -o '%T %l'", env={"PATH": f"{t.BIN}:/usr/bin:/bin"}, check=0)
        self.assertEqual(done.stdout, "RUNNING 5:00\n")
        late = self.cluster.by_name("salloc", "--image", "tiny", "-d", f"afterok:{first + 1000}", "true")
        self.assertNotEqual(late.returncode, 0)
        self.assertIn(str(first + 1000), late.stderr)

    def test_what_waits_says_why_in_one_word_and_can_be_changed(self):
        job = self.sleeper("--hold")
        self.assertEqual(self.cluster.by_name("squeue", "-h", "-j", job, "-o", "%t %r", check=0).stdout, "PD JobHeldUser\n")
        self.assertIn(f"{job} ", self.cluster.by_name("sprio", "-h", "-o", "%i %Y", check=0).stdout)
        self.cluster.by_name("scontrol", "update", f"JobId={job}", "TimeLimit=7", check=0)
        self.assertEqual(self.cluster.by_name("squeue", "-h", "-j", job, "-o", "%l", check=0).stdout, "7:00\n")
        self.cluster.by_name("scontrol", "release", job, check=0)
        self.cluster.by_name("scontrol", "wait_job", job, check=0)
        self.assertEqual(self.state(job), "RUNNING")
        self.cluster.by_name("scontrol", "requeue", job, check=0)
        self.cluster.by_name("scancel", job, check=0)
        self.assertEqual(self.cluster.wait_end(job)["state"], "CANCELLED")

    def test_sinfo_and_scontrol_show_nodes(self):
        self.assertEqual(sorted(self.cluster.by_name("sinfo", "-h", "-o", "%n %t", check=0).stdout.split("\n")),
                         ["", "n1 idle", "n2 idle"])
        lines = self.cluster.by_name("sinfo", check=0).stdout.splitlines()
        self.assertEqual(lines[0].split(), ["PARTITION", "AVAIL", "TIMELIMIT", "NODES", "STATE", "NODELIST"])
        self.assertEqual(lines[1].split()[-3:], ["2", "idle", "n[1-2]"])
        self.assertEqual(len(self.cluster.by_name("sinfo", "-h", "-N", check=0).stdout.splitlines()), 2)
        self.assertEqual(self.cluster.by_name("sinfo", "-h", "-o", "%C", check=0).stdout.strip(), "0/16/0/16")
        one = self.cluster.by_name("scontrol", "-o", "show", "node", "n1", check=0).stdout
        self.assertRegex(one, r"^NodeName=n1 .* CPUTot=8 .* State=IDLE ")
        self.assertIn("PartitionName=", self.cluster.by_name("scontrol", "show", "partition", check=0).stdout)
        self.assertIn("is UP", self.cluster.by_name("scontrol", "ping", check=0).stdout)
        self.assertEqual(self.cluster.by_name("scontrol", "show", "hostnames", "n[1-2],m3", check=0).stdout, "n1\nn2\nm3\n")
        self.assertEqual(self.cluster.by_name("scontrol", "show", "hostlist", "n1,n2", check=0).stdout, "n[1-2]\n")
        self.assertIn("fairshare", self.cluster.by_name("sshare", "-a", check=0).stdout.lower())

    @t.need_root
    def test_an_administrator_drains_by_scontrol(self):
        root = lambda *words: t.run([t.BIN / "scontrol", *words], env={"SLIPWAY_CONTEXT": self.cluster.context}, check=0)
        root("update", "NodeName=n2", "State=DRAIN", "Reason=new memory")
        self.addCleanup(root, "update", "NodeName=n2", "State=RESUME")
        self.assertEqual(self.cluster.by_name("sinfo", "-h", "-n", "n2", "-o", "%t %E", check=0).stdout, "drain new memory\n")
        self.assertIn("State=IDLE+DRAIN", self.cluster.by_name("scontrol", "show", "node", "n2", check=0).stdout)
        self.assertEqual(self.cluster.by_name("sinfo", "-h", "-t", "idle", "-o", "%N", check=0).stdout, "n1\n")

    def test_names_work_inside_a_batch_script(self):
        out = self.home / "names.out"
        job = self.cluster.submit("--image", "tiny", "-n2", "-o", out, "--wrap",
                                  "srun sh -c 'echo rank $SLURM_PROCID'; squeue -h -j $SLURM_JOB_ID -o %T")
        self.assertEqual(self.cluster.wait_end(job)["state"], "COMPLETED")
        self.assertEqual(sorted(out.read_text().split("\n")), ["", "RUNNING", "rank 0", "rank 1"])

    def test_what_is_not_had_is_refused_with_our_word_for_it(self):
        for words, cure in ((("scontrol", "reconfigure"), "restart"), (("scontrol", "shw"), "--help"),
                            (("sattach", "999999"), "999999"), (("squeue", "-t", "RUNING"), "state")):
            done = self.cluster.by_name(*words)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(cure, done.stderr)


if __name__ == "__main__":
    unittest.main()
