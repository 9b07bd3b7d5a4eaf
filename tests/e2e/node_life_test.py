#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Nodes that find themselves unfit, programs of the site around jobs, and what a step leaves: on a live cluster."""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import tempfile
import unittest

import slipway_testing as t
from silent_mount import mount_silent, unmount_silent


class NodeLife(t.ClusterTest):
    NODES = 2
    IMAGES = ("tiny",)

    def setUp(self):
        # A dev node has a /tmp of its own, so not there. The agents' account reads and writes it.
        self.site = pathlib.Path(tempfile.mkdtemp(prefix="site-", dir=self.cluster.state))
        self.addCleanup(shutil.rmtree, self.site)
        self.site.chmod(0o777)

    def tearDown(self):
        for node in ("n1", "n2"):
            self.cluster.set_agent(node)
            self.admin("resume", node)
        t.wait_until("both nodes are up", lambda: all(self.cluster.node(n)["state"] == "UP" for n in ("n1", "n2")))

    def admin(self, *words):
        return t.run([t.SLIPWAY, "node", *words], env={"SLIPWAY_CONTEXT": self.cluster.context}) if t.ROOT else self.cluster("node", *words)

    def program(self, name, *lines):
        path = self.site / name
        path.write_text("#!/bin/sh\n" + "\n".join(lines) + "\n")
        path.chmod(0o755)
        return str(path)

    def reaches(self, node, state, reason):
        def there():
            now = self.cluster.node(node)
            return now["state"] == state and now.get("reason", "") == reason
        t.wait_until(f"{node} is {state} with '{reason}' (it is {self.cluster.node(node)})", there)

    def test_a_critical_health_check_drains_the_node_and_its_end_resumes_it(self):
        verdict = self.site / "verdict"
        verdict.write_text("2")
        check = self.program("check", f"echo GPU 3 fell off the bus; exit $(cat {verdict})")
        self.cluster.set_agent("n1", health_check=check, health_interval="1s")
        self.reaches("n1", "DRAINED", "health: health check: exit code 2: GPU 3 fell off the bus")
        job = self.cluster.wait_end(self.cluster.submit("--image", "tiny", "--output", "/dev/null", "--wrap", "true"))
        self.assertEqual((job["state"], job["nodes"]), ("COMPLETED", ["n2"]))
        verdict.write_text("0")
        self.reaches("n1", "UP", "")

    def test_a_job_whose_prolog_fails_runs_elsewhere_and_its_node_waits_for_an_administrator(self):
        self.cluster.set_agent("n1", prolog=self.program("prolog", "echo no scratch disk; exit 3"))
        self.cluster.set_agent("n2", prolog=self.program("good", f"env > {self.site}/prolog.$SLIPWAY_JOB_ID"),
                               epilog=self.program("epilog", f"env > {self.site}/epilog.$SLIPWAY_JOB_ID"))
        t.wait_until("both are up", lambda: all(self.cluster.node(n)["state"] == "UP" for n in ("n1", "n2")))
        self.assertEqual(self.admin("drain", "n2", "--reason", "test").returncode, 0)
        job_id = self.cluster.submit("--image", "tiny", "--output", "/dev/null", "--wrap", "true")
        self.reaches("n1", "DRAINED", f"prolog of job {job_id}: exit code 3: no scratch disk")
        self.admin("resume", "n2")
        job = self.cluster.wait_end(job_id)
        self.assertEqual((job["state"], job["nodes"]), ("COMPLETED", ["n2"]), job)
        for what in ("prolog", "epilog"):
            env = t.wait_until(f"{what} has run", lambda what=what: (lambda f: f.exists() and f.read_text())(self.site / f"{what}.{job_id}"))
            names = {line.split("=")[0] for line in env.splitlines()}
            self.assertEqual(set(), names - {"PATH", "PWD", "SHLVL", "_"} - {n for n in names if n.startswith("SLIPWAY_")}, env)
            self.assertIn(f"SLIPWAY_JOB_USER={self.account.entry.pw_name}", env)
        self.admin("resume", "n1")
        t.wait_until("n1 is up", lambda: self.cluster.node("n1")["state"] == "UP")

    @t.need_root
    def test_a_job_whose_folder_does_not_answer_fails_by_name_and_no_other_does(self):
        folder = self.home / "silent"
        folder.mkdir()
        os.chown(folder, self.account.entry.pw_uid, self.account.entry.pw_gid)
        self.addCleanup(folder.rmdir)
        self.cluster.set_agent("n1", folder_timeout="2s")
        t.wait_until("n1 is up", lambda: self.cluster.node("n1")["state"] == "UP")
        # The node has mounts of its own: it does not see what the host mounts now.
        fd = mount_silent(folder, self.cluster.pid("n1-agent"))
        self.addCleanup(lambda: unmount_silent(folder, fd, self.cluster.pid("n1-agent")))
        words = ("-w", "n1", "--image", "tiny", "--output", "/dev/null")
        stuck = self.cluster.submit(*words, "--chdir", folder, "--wrap", "echo never")
        beside = self.cluster.wait_end(self.cluster.submit(*words, "--wrap", "exit 4"))
        self.assertEqual((beside["state"], beside["exit_code"]), ("FAILED", 4), beside)
        job = self.cluster.wait_end(stuck)
        self.assertEqual((job["state"], job["exit_code"], job["nodes"]), ("FAILED", 125, ["n1"]), job)
        self.assertIn(f"{folder} does not answer on node n1: nothing came within 2 s", str(job))

    def test_a_prolog_that_hangs_has_an_end(self):
        self.cluster.set_agent("n1", prolog=self.program("prolog", "sleep 1000"), prolog_timeout="1s")
        t.wait_until("n1 is up", lambda: self.cluster.node("n1")["state"] == "UP")
        self.assertEqual(self.admin("drain", "n2", "--reason", "test").returncode, 0)
        job_id = self.cluster.submit("--image", "tiny", "--output", "/dev/null", "--wrap", "true")
        self.reaches("n1", "DRAINED", f"prolog of job {job_id}: not done within 1 s")
        self.assertEqual(self.cluster.wait_state(job_id, "PENDING")["state"], "PENDING")
        self.admin("resume", "n2")
        self.assertEqual(self.cluster.wait_end(job_id)["state"], "COMPLETED")

    def test_a_steps_private_folders_are_gone_with_it(self):
        self.cluster.set_agent("n1", private_tmp="16M")
        self.cluster.set_agent("n2", private_tmp="16M")
        t.wait_until("both are up", lambda: all(self.cluster.node(n)["state"] == "UP" for n in ("n1", "n2")))
        mark = f"slipway-left-{os.getpid()}"
        done = self.cluster("launch", "-n", 1, "--image", "tiny", "--", "sh", "-c",
                            f"for d in /tmp /var/tmp /dev/shm; do echo x > $d/{mark} || exit 1; done; head -c 64M /dev/zero > /tmp/big")
        self.assertNotEqual(done.returncode, 0, "more than its size")
        self.assertIn("No space left", done.stderr)
        for folder in ("/tmp", "/var/tmp", "/dev/shm"):
            self.assertFalse(pathlib.Path(folder, mark).exists(), folder)

    def test_a_lease_ends_a_job_with_agent_and_stepd_stopped_and_it_runs_again_elsewhere(self):
        self.assertEqual(self.admin("drain", "n2", "--reason", "test").returncode, 0)
        log = self.home / "leased"
        self.addCleanup(log.unlink, missing_ok=True)
        job_id = self.cluster.submit("--image", "tiny", "--requeue", "--lease=0:30", "--output", "/dev/null", "--wrap",
                                     f"if [ -e {log} ]; then echo second >> {log}; exit 0; fi\n"
                                     f"while :; do echo first >> {log}; sleep 0.2; done")
        t.wait_until("it runs", lambda: log.exists())
        self.admin("resume", "n2")
        agent = self.cluster.pid("n1-agent")
        stopped = [agent, *self.stepds_of(job_id)]
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        try:
            job = self.cluster.wait_end(job_id, 180)
        finally:
            os.kill(agent, signal.SIGCONT)
        self.assertEqual((job["state"], job["nodes"], job["attempt"]), ("COMPLETED", ["n2"], 2), job)
        self.assertGreater(len(stopped), 1)
        lines = log.read_text().split()
        self.assertEqual(lines.count("second"), 1)
        self.assertEqual(lines[-1], "second", "the first attempt wrote beside the second")

    def set_fence(self, *lines):
        """slipwayd with a fence program of these lines, and little patience."""
        folder = self.cluster.state / "controller/conf.d"
        file = folder / "fence.toml"

        def again():
            self.cluster.kill("slipwayd")
            t.wait_until("both nodes are up", lambda: self.cluster("nodes", "--json").stdout.count('"UP"') == 2)

        def restore():
            file.unlink()
            again()
        folder.mkdir(exist_ok=True)
        file.write_text(f"[controller]\nnode_lost_after = '6s'\nheartbeat = '1s'\n[hooks]\nfence = '{self.program('fence', *lines)}'\n"
                        "fence_after = '8s'\nfence_retry = '5s'\n")
        self.addCleanup(restore)
        again()

    @contextlib.contextmanager
    def silence(self, job_id):
        """What is on n1 but the job itself stands still."""
        stopped = [self.cluster.pid("n1-agent"), self.cluster.pid("n1-broker"), *self.stepds_of(job_id)]
        self.assertGreater(len(stopped), 2)
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in stopped:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def processes_of(self, job_id):
        """Those of the job's program, anywhere."""
        found = []
        for folder in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if f"SLIPWAY_JOB_ID={job_id}\0".encode() in (folder / "environ").read_bytes():
                    found.append(int(folder.name))
        return found

    def on_n1(self, *words, wrap):
        """A job that was started on n1, while n2 is free."""
        self.assertEqual(self.admin("drain", "n2", "--reason", "test").returncode, 0)
        job_id = self.cluster.submit("--image", "tiny", "--output", "/dev/null", *words, "--wrap", wrap)
        self.cluster.wait_state(job_id, "RUNNING")
        self.admin("resume", "n2")
        return job_id

    def test_a_silent_node_is_fenced_by_the_sites_program_and_its_job_runs_elsewhere(self):
        asked, off, log = self.site / "asked", self.site / "off", self.home / "fenced"
        self.addCleanup(log.unlink, missing_ok=True)
        self.set_fence(f"cat > {asked}.new; mv {asked}.new {asked}", f"while ! test -e {off}; do sleep 0.1; done", "echo power of $1 is off")
        job_id = self.on_n1("--requeue", wrap=f"if [ -e {log} ]; then echo second >> {log}; exit 0; fi\n"
                                              f"while :; do echo first >> {log}; sleep 0.2; done")
        t.wait_until("it runs", lambda: log.exists())
        with self.silence(job_id):
            question = json.loads(t.wait_until("the program is asked", lambda: asked.exists() and asked.read_text()))
            self.assertEqual((question["node"], question["jobs"]), ("n1", [job_id]), question)
            job = self.cluster.job(job_id)
            self.assertEqual((job["state"], job["attempt"]), ("RUNNING", 1), "not before the program says so")
            self.assertIn("is being fenced by", self.cluster.node("n1")["reason"])

            def switched_off():
                left = self.processes_of(job_id)
                for pid in left:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                return not left
            t.wait_until("the power is off", switched_off)
            off.touch()
            job = self.cluster.wait_end(job_id)
            self.assertEqual((job["state"], job["nodes"], job["attempt"]), ("COMPLETED", ["n2"], 2), job)
            self.reaches("n1", "DOWN", f"fenced by {self.site}/fence")
        lines = log.read_text().split()
        self.assertEqual((lines.count("second"), lines[-1]), (1, "second"), "the first attempt wrote beside the second")

    def test_a_fence_program_that_fails_leaves_a_silent_node_and_its_job_as_they_are(self):
        asked, go = self.site / "asked", self.home / "go"
        self.addCleanup(go.unlink, missing_ok=True)
        self.set_fence(f"echo $1 >> {asked}; echo its BMC does not answer >&2; exit 3")
        job_id = self.on_n1("--requeue", wrap=f"while ! test -e {go}; do sleep 0.2; done")
        with self.silence(job_id):
            t.wait_until("it is asked again", lambda: asked.exists() and len(asked.read_text().split()) > 1)
            self.assertEqual(self.cluster.node("n1")["state"], "UNKNOWN")
            t.wait_until("it says why", lambda: self.cluster.node("n1")["reason"].startswith(
                "could not be fenced (exit code 3: its BMC does not answer), tried again in "))
            self.assertEqual((self.cluster.job(job_id)["state"], self.cluster.job(job_id)["attempt"]), ("RUNNING", 1))
        go.touch()
        job = self.cluster.wait_end(job_id)
        self.assertEqual((job["state"], job["nodes"], job["attempt"]), ("COMPLETED", ["n1"], 1), job)

    def stepds_of(self, job_id):
        found = []
        for folder in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if os.readlink(folder / "exe").endswith("/slipway-stepd") and f"/steps/{job_id}.1." in self.sockets_of(folder):
                    found.append(int(folder.name))
            except OSError:
                continue
        return found

    def sockets_of(self, folder):
        """Names of the Unix sockets that a process listens at."""
        inodes = {os.readlink(fd)[8:-1] for fd in (folder / "fd").iterdir() if os.readlink(fd).startswith("socket:")}
        return " ".join(line.split()[-1] for line in (folder / "net/unix").read_text().splitlines()[1:] if line.split()[6] in inodes)

    @unittest.skipUnless(t.ROOT, "without root each step has its own")
    def test_a_jobs_tmp_is_of_the_size_it_asked_for_shared_by_its_steps_and_gone_with_it(self):
        for node in ("n1", "n2"):
            self.cluster.set_agent(node, job_shm="8M", job_tmp_max="32M")
        t.wait_until("both are up", lambda: all(self.cluster.node(n)["state"] == "UP" for n in ("n1", "n2")))
        out = self.site / "out"
        step = "slipway launch -n 1 -- sh -c"
        job = self.cluster.submit("--image", "tiny", "-N1", "-n1", "--tmp=16M", "--output", out, "--wrap", "; ".join([
            "ln -s /etc/passwd /tmp/link", f"{step} 'echo one > /tmp/a; echo two > /dev/shm/b; head -c 64M /dev/zero > /tmp/big'",
            f"{step} 'cat /tmp/a /dev/shm/b; stat -c %s /tmp/big; ls /var/tmp'"]))
        self.assertIsNotNone(self.cluster.wait_end(job))
        text = out.read_text()
        self.assertIn("No space left", text)
        self.assertIn("one\ntwo\n", text)
        size = max(int(line) for line in text.splitlines() if line.isdigit())
        self.assertTrue(15 << 20 < size <= 16 << 20, text)
        self.assertIn("link", text)
        t.wait_until("its folder is gone", lambda: not any(f for f in self.cluster.state.rglob("run/jobs/*")))
        again = self.cluster.wait_end(self.cluster.submit("--image", "tiny", "--tmp=16M", "--output", out, "--wrap", "test ! -e /tmp/a"))
        self.assertEqual(again["state"], "COMPLETED", again)
        refused = self.cluster.wait_end(self.cluster.submit("--image", "tiny", "--tmp=64M", "--output", out, "--wrap", "true"))
        self.assertIn("this node gives a job 32 MiB at most (agent.job_tmp_max)", str(refused))


if __name__ == "__main__":
    unittest.main()
