#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A site's policies as its users meet them: partitions, QOS, limits, accounts, preemption, and what `slipway why` says."""
import os
import unittest

import slipway_testing as t

SITE = """
[scheduler]
reservations = 10
grace = "5s"
[priority]
partition = 100
[[partition]]
name = "batch"
default = true
max_time = "2h"
[[partition]]
name = "small"
nodes = ["n1"]
max_nodes = 1
tier = 2
[[partition]]
name = "closed"
state = "inactive"
[[node]]
nodes = ["n2"]
features = ["big"]
[topology]
kind = "tree"
[[switch]]
name = "leaf1"
nodes = ["n1"]
[[switch]]
name = "leaf2"
nodes = ["n2"]
[[switch]]
name = "root"
switches = ["leaf1", "leaf2"]
[[licence]]
name = "solver"
count = 1
[[qos]]
name = "normal"
[[qos]]
name = "scavenge"
preempt_mode = "requeue"
[[qos]]
name = "urgent"
preempts = ["scavenge"]
[[qos]]
name = "debug"
max_jobs_per_user = 1
max_submit_jobs_per_user = 2
max_wall = "10m"
"""


class Policies(t.ClusterTest):
    """Two nodes of 8 cores; each test leaves nothing running and nothing waiting."""
    IMAGES = ("tiny",)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        settings = cls.cluster.state / "controller/conf.d"
        settings.mkdir()
        (settings / "site.toml").write_text(SITE)
        cls.cluster.kill("slipwayd")
        t.wait_until("both nodes are up again", lambda: cls.nodes_up() == 2)

    @classmethod
    def nodes_up(cls):
        done = cls.cluster("nodes", "--json")
        return done.stdout.count('"UP"') if done.returncode == 0 else 0

    def submit(self, *words, wrap="sleep 600"):
        job = self.cluster.submit("--image", "tiny", *words, "--wrap", wrap)
        self.addCleanup(self.cluster.wait_end, job)
        self.addCleanup(self.cluster, "cancel", job)
        return job

    def running(self, *words):
        job = self.submit(*words)
        self.cluster.wait_state(job, "RUNNING")
        return job

    def refused(self, *words, says):
        done = self.cluster("submit", "--image", "tiny", *words, "--wrap", "true")
        self.assertNotEqual(done.returncode, 0, done.stdout)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        for word in says:
            self.assertIn(word, done.stderr)

    def admin(self, *words):
        return t.run([t.SLIPWAY, *words], env={"SLIPWAY_CONTEXT": self.cluster.context})

    def why(self, job):
        return self.cluster("why", job, check=0).stdout

    def test_a_partitions_nodes_and_limits_hold(self):
        job = self.running("-p", "small", "-n", 1)
        self.assertEqual(self.cluster.job(job)["nodes"], ["n1"])
        self.refused("-p", "small", "-N", 2, says=["PartitionNodeLimit", "small"])
        self.refused("-t", "3h", says=["PartitionTimeLimit", "batch"])
        self.refused("-p", "closed", says=["closed"])
        self.refused("-p", "smal", says=["smal", "small", "batch"])

    def test_of_several_partitions_a_job_runs_in_the_first_that_has_room(self):
        first = self.running("-p", "small,batch", "-n", 8)
        second = self.running("-p", "small,batch", "-n", 8)
        seen = [(j["partition"], j["nodes"]) for j in map(self.cluster.job, (first, second))]
        self.assertEqual(seen, [("small", ["n1"]), ("batch", ["n2"])])
        waits = self.submit("-p", "small,batch", "-n", 8)
        self.assertEqual(self.cluster.job(waits)["partition"], "small,batch", "it is in none yet")
        self.refused("-p", "small,closd", says=["closd"])
        self.cluster("cancel", first, check=0)
        self.assertEqual(self.cluster.wait_state(waits, "RUNNING")["partition"], "small")

    def test_a_wish_for_few_switches_is_kept_as_long_as_was_said(self):
        left, right = (self.running("-N", 1, "-n", 5) for _ in range(2))
        self.assertEqual({self.cluster.job(job)["nodes"][0] for job in (left, right)}, {"n1", "n2"})
        near = self.submit("-n", 4, "--switches", "1@10m")
        self.assertEqual(self.cluster.job(near)["state"], "PENDING", "three cores are free on each switch")
        patient = self.running("-n", 4, "--switches", "1@1s")
        self.assertEqual(self.cluster.job(patient)["nodes"], ["n1", "n2"], "it has waited for long enough")
        self.cluster("cancel", patient, check=0)
        self.cluster("cancel", left, check=0)
        self.assertEqual(len(self.cluster.wait_state(near, "RUNNING")["nodes"]), 1)
        self.refused("-N", 2, "--switches", 1, says=["1 switch"])

    def test_a_suspended_job_stands_still_in_its_container_until_it_is_resumed(self):
        ticks = self.home / "ticks"
        ticks.touch()
        os.chown(ticks, self.account.entry.pw_uid, self.account.entry.pw_gid)
        job = self.submit("-t", "10m", wrap=f"while :; do echo . >> {ticks}; sleep 0.01; done")
        t.wait_until("it works", lambda: ticks.stat().st_size > 10)
        if t.ROOT:
            self.assertIn("administrators", self.cluster("suspend", job).stderr)
        self.assertEqual(self.admin("suspend", job).returncode, 0)
        self.cluster.wait_state(job, "SUSPENDED")

        def stands():
            before = ticks.stat().st_size
            other = self.submit("-n", 1, wrap="true")  # a whole job's life long
            self.cluster.wait_end(other)
            return ticks.stat().st_size == before
        t.wait_until("its processes have stopped", stands)
        stood_at = ticks.stat().st_size
        self.assertEqual(sum(self.cluster.node(name)["cores_free"] for name in ("n1", "n2")), 15, "it keeps its core")
        self.assertEqual(self.admin("resume", job).returncode, 0)
        t.wait_until("it goes on", lambda: ticks.stat().st_size > stood_at)
        self.assertEqual(self.cluster.job(job)["state"], "RUNNING")
        self.assertIn("does not stand still", self.admin("resume", job).stderr)

    def test_features_and_licences_decide_where_and_when(self):
        job = self.running("-C", "big", "-L", "solver")
        self.assertEqual(self.cluster.job(job)["nodes"], ["n2"])
        waits = self.submit("-L", "solver")
        self.assertIn("Licenses: needs 1 of solver, 0 are free", self.why(waits))
        self.assertEqual(self.cluster.job(waits)["state"], "PENDING")
        self.cluster("cancel", job, check=0)
        self.cluster.wait_state(waits, "RUNNING")
        self.refused("-C", "bigg", says=["BadConstraints", "bigg"])
        self.refused("-L", "solver:2", says=["solver"])
        self.refused("-L", "solvr", says=["solvr", "solver"])

    def test_a_limit_of_a_qos_is_named_until_it_lets_go(self):
        first = self.running("-q", "debug", "-t", "5m")
        second = self.submit("-q", "debug", "-t", "5m")
        self.assertIn("QOSMaxJobsPerUserLimit", self.why(second))
        self.refused("-q", "debug", "-t", "5m", says=["QOSMaxSubmitJobPerUserLimit", "debug"])
        self.cluster("cancel", first, check=0)
        self.cluster.wait_state(second, "RUNNING")
        self.refused("-q", "debug", "-t", "1h", says=["QOSMaxWallDurationPerJobLimit"])
        self.refused("-q", "dbug", says=["dbug", "debug"])

    def test_a_job_that_is_made_to_go_runs_again(self):
        low = self.running("-q", "scavenge", "-N", 2, "--exclusive")
        high = self.running("-q", "urgent", "-N", 2, "--exclusive")
        self.assertIn(str(low), [str(job["job_id"]) for job in self.cluster.json("jobs")["jobs"] if job["state"] == "PENDING"])
        self.cluster("cancel", high, check=0)
        again = self.cluster.wait_state(low, "RUNNING")
        self.assertEqual(again["attempt"], 2)

    def test_nobody_has_to_go_for_a_job_that_may_not_preempt(self):
        runs = self.running("-N", 2, "--exclusive", "-t", "30m")
        waits = self.submit("-q", "urgent", "-N", 2, "--exclusive", "-t", "30m")
        self.assertIn("planned: starts by", self.why(waits))
        self.assertEqual(self.cluster.job(runs)["state"], "RUNNING")

    def test_an_accounts_limits_bind_its_users(self):
        user = self.account.entry.pw_name
        self.assertEqual(self.admin("account", "set", "physics", "--grp-tres", "cpu=2").returncode, 0)
        self.addCleanup(self.admin, "account", "rm", "physics")
        self.assertEqual(self.admin("account", "add-user", "physics", user).returncode, 0)
        self.addCleanup(self.admin, "account", "rm-user", "physics", user)
        first = self.running("-A", "physics", "-n", 2)
        second = self.submit("-A", "physics", "-n", 1)
        self.assertIn("AssocGrpCpuLimit", self.why(second))
        # Below what is in use: what runs runs on, nothing new starts.
        self.assertEqual(self.admin("account", "set", "physics", "--grp-tres", "cpu=1").returncode, 0)
        self.assertEqual(self.cluster.job(first)["state"], "RUNNING")
        self.assertIn("AssocGrpCpuLimit", self.why(second))
        # In use: it cannot be taken away.
        done = self.admin("account", "rm-user", "physics", user)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("have not ended", done.stderr)
        self.assertEqual(self.admin("account", "set", "physics", "--grp-tres", "cpu=8").returncode, 0)
        self.cluster.wait_state(second, "RUNNING")
        self.assertIn("physics", self.cluster("share", check=0).stdout)
        self.refused("-A", "phyics", says=["phyics"])

    @t.need_root
    def test_accounts_are_an_administrators(self):
        done = self.cluster("account", "set", "mine")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("administrators", done.stderr)

    def test_what_contradicts_itself_is_refused(self):
        self.refused("-N", 4, "-n", 2, says=["2 task(s)", "4 nodes"])
        self.refused("--mem", "1G", "--mem-per-cpu", "1G", says=["mem"])
        self.refused("-n", "10000000", "-c", "65536", says=["core"])
        self.refused("-G", 3, "-N", 2, says=["--gpus"])
        self.refused("--deadline", "now+1minutes", "-t", "1h", says=["DeadLine"])

    def test_an_array_is_one_line_until_its_tasks_start(self):
        self.running("-N", 2, "--exclusive", "-t", "30m")
        array = self.cluster.submit("--image", "tiny", "--array", "1-100000%50", "-t", "5m", "--wrap", "true")
        self.addCleanup(self.cluster, "cancel", array)
        lines = [line.split() for line in self.cluster("jobs", "-j", array, check=0).stdout.splitlines()[1:]]
        self.assertEqual([(line[0], line[3]) for line in lines], [(f"{array}_[1-100000%50]", "PENDING")])
        self.assertEqual(self.cluster.job(f"{array}_99999")["state"], "PENDING")
        self.assertIn("waits behind others of its array", self.why(f"{array}_99999"))
        self.cluster("hold", f"{array}_99999", check=0)
        self.cluster("cancel", f"{array}_7", check=0)
        self.assertEqual(self.cluster.job(f"{array}_7")["state"], "CANCELLED")
        shown = self.cluster("jobs", "-j", array, check=0).stdout
        self.assertIn("99999", shown)
        after = self.submit("-d", f"afterany:{array}")
        self.cluster("cancel", array, check=0)
        ended = self.cluster.job(array)
        self.assertEqual((ended["state"], ended["ended"], ended["reason"]),
                         ("CANCELLED", True, "array: 0 pending, 0 running, 100000 ended"))
        self.assertEqual(self.cluster.job(f"{array}_5000")["state"], "CANCELLED")
        self.assertNotIn("afterany", self.why(after))

    def test_a_cycle_of_dependencies_cannot_be_made(self):
        first = self.submit("--hold")
        second = self.submit("-d", f"afterok:{first}")
        # Jobs wait for earlier ones only, and what a job waits for is not changed: there is no way round.
        self.refused("-d", f"afterok:{second + 1}", says=[str(second + 1)])
        done = self.cluster("update", first, "--dependency", f"afterok:{second}")
        self.assertNotEqual(done.returncode, 0)

    def test_a_higher_tier_comes_first(self):
        self.running("-N", 2, "--exclusive", "-t", "30m")
        whole = ("--exclusive", "-t", "30m")
        first = self.submit("-N", 2, *whole)
        last = self.submit("-N", 2, *whole)
        high = self.submit("-p", "small", "-N", 1, *whole)
        self.assertEqual(self.cluster.json("why", last)["first_ahead"], [str(high), str(first)])
        self.assertEqual(self.cluster.json("why", high)["planned_nodes"], ["n1"])

    def reserve(self, name, *words):
        done = self.admin("reservation", "create", name, *words)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.addCleanup(self.admin, "reservation", "delete", name)
        return done.stdout

    def test_a_reservation_keeps_others_out_and_its_own_jobs_in(self):
        user = self.account.entry.pw_name
        made = self.reserve("course", "--nodes", "n2", "--duration", "1h", "--users", user)
        self.assertIn("course: n2", made)
        self.assertIn("RESERVED", self.cluster("nodes", check=0).stdout)
        own = self.running("--reservation", "course", "-t", "10m")
        self.assertEqual(self.cluster.job(own)["nodes"], ["n2"])
        other = self.submit("-N", 2, "-t", "10m")
        self.assertIn("reserved (course) for another", self.why(other))
        shown = self.cluster.json("reservation", "show")["reservations"]
        self.assertEqual([(r["name"], r["state"], r["users"], r["jobs"]) for r in shown], [("course", "ACTIVE", [user], 1)])
        done = self.admin("reservation", "delete", "course")
        self.assertIn(f"job {own} runs in reservation course", done.stderr)
        self.cluster("cancel", own, check=0)
        self.cluster.wait_end(own)
        self.assertEqual(self.admin("reservation", "delete", "course").returncode, 0)
        self.cluster.wait_state(other, "RUNNING")

    def test_maintenance_is_planned_around(self):
        self.reserve("repair", "--nodes", "ALL", "--starttime", "now+1hours", "--duration", "2h", "--flags", "maint,weekly")
        self.running("-t", "30m")
        long = self.submit("-t", "90m")
        why = self.cluster.json("why", long)
        self.assertTrue(any("repair, maintenance" in reason for reason in why["reasons"]), why)
        self.assertTrue(any("time limit of" in text for text in why["suggestions"]), why)
        self.assertEqual(self.admin("reservation", "update", "repair", "--starttime", "now+2hours").returncode, 0)
        self.cluster.wait_state(long, "RUNNING")

    def test_what_a_reservation_cannot_be_is_refused(self):
        def refused(says, *words):
            done = self.admin("reservation", "create", "odd", *words)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(says, done.stderr)
        refused("there is no node n9", "--nodes", "n9", "--duration", "1h", "--flags", "maint")
        refused("--duration or --endtime", "--nodes", "n1", "--flags", "maint")
        refused("say for whom", "--nodes", "n1", "--duration", "1h")
        refused("only 2 of 5 nodes", "--nodecnt", 5, "--duration", "1h", "--flags", "maint")
        refused("--flags daly", "--nodes", "n1", "--duration", "1h", "--flags", "daly")
        self.refused("--reservation", "odd", says=["odd"])
        runs = self.running("-t", "1h")
        refused(f"job {runs} is expected to run", "--nodes", "ALL", "--duration", "1h", "--flags", "maint")

    @t.need_root
    def test_reservations_are_an_administrators(self):
        done = self.cluster("reservation", "create", "mine", "--nodes", "n1", "--duration", "1h", "--flags", "maint")
        self.assertIn("administrators", done.stderr)

    def test_a_drained_node_is_left_alone_and_only_an_administrator_drains(self):
        done = self.admin("node", "drain", "n[1,9]", "--reason", "new memory")
        self.assertIn("there is no node n9", done.stderr)
        self.assertEqual(self.nodes_up(), 2, "none of the list was drained")
        self.assertEqual(self.admin("node", "drain", "n1").returncode, 2, "without a reason")
        self.addCleanup(self.admin, "node", "resume", "n[1-2]")
        self.assertIn("n1: DRAINED", self.admin("node", "drain", "n1", "--reason", "new memory").stdout)
        self.assertIn("DRAINED (new memory)", self.cluster("node", "show", "n1", check=0).stdout)
        job = self.submit("-N", 2)
        self.assertIn("drained", self.why(job))
        self.assertIn("is connected", self.admin("node", "fenced", "n1").stderr)
        if t.ROOT:
            self.assertIn("administrators", self.cluster("node", "resume", "n1").stderr)
        self.assertIn("n1: UP", self.admin("node", "resume", "n1").stdout)
        self.cluster.wait_state(job, "RUNNING")


if __name__ == "__main__":
    unittest.main()
