#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`slipway instance …` and `exec|run|shell instance://NAME` as an ordinary user, and `exec --job` on a dev cluster."""
import fcntl
import json
import os
import pathlib
import pty
import select
import shutil
import signal
import subprocess
import tempfile
import termios
import time
import unittest

import slipway_testing as t


def processes_of(uid):
    """pid → command line of every live process of that user."""
    found = {}
    for proc in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if proc.stat().st_uid in (uid, 0) and (proc / "status").read_text().split("Uid:\t")[1].split()[0] == str(uid):
                if (proc / "stat").read_text().rsplit(")", 1)[1].split()[0] != "Z":
                    found[int(proc.name)] = (proc / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
    return found


# What a debugger does first: attach, look at a register, let go.
TRACER = """
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
int main(int argc, char **argv) {
  int pid = argc > 1 ? atoi(argv[1]) : 0;
  if (ptrace(PTRACE_ATTACH, pid, 0, 0) < 0) { perror("attach"); return 1; }
  waitpid(pid, 0, __WALL);
  errno = 0;
  long word = ptrace(PTRACE_PEEKUSER, pid, 0, 0);
  if (word == -1 && errno != 0) { perror("peek"); return 2; }
  if (ptrace(PTRACE_DETACH, pid, 0, 0) < 0) { perror("detach"); return 3; }
  return puts("traced") < 0;
}
"""


class Instances(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.account = t.Account()
        cls.addClassCleanup(cls.account.remove)
        cls.user = cls.account.entry
        cls.sif = t.image("tiny")
        cls.before = set(processes_of(cls.user.pw_uid))

    def tearDown(self):
        self.slipway("instance", "stop", "--all", "--force")
        self.assert_nothing_left()

    def slipway(self, *argv, user=None, **options):
        return t.run([t.SLIPWAY, *argv], user=user or self.user, **options)

    def popen(self, *argv, **options):
        user = self.user
        if t.ROOT:
            options.update(user=user.pw_uid, group=user.pw_gid, extra_groups=[])
        return subprocess.Popen([t.SLIPWAY, *map(str, argv)], cwd=user.pw_dir,
                                env={"HOME": user.pw_dir, "PATH": os.environ["PATH"], "USER": user.pw_name, "TERM": "vt100"}, **options)

    def start(self, name, *options, image=None):
        return self.slipway("instance", "start", *options, image or self.sif, name, check=0)

    def list(self, user=None):
        return {i["instance"]: i for i in json.loads(self.slipway("instance", "list", "--json", user=user, check=0).stdout)["instances"]}

    def keeper_of(self, name):
        """The keeper holds the instance's socket: it is the parent of the starter, whose child the init is."""
        def parent(pid):
            return int(pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
        return parent(parent(self.list()[name]["pid"]))

    def kill_keeper_of(self, name):
        keeper = self.keeper_of(name)
        os.kill(keeper, signal.SIGKILL)
        t.wait_until("the keeper has gone", lambda: keeper not in processes_of(self.user.pw_uid), 30)

    def refused(self, done, *words, code=125):
        self.assertEqual(done.returncode, code, done.stderr)
        lines = [line for line in done.stderr.splitlines() if line]
        self.assertEqual(len(lines), 1, done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)

    def folders(self):
        """Of instances, live or dead."""
        home = pathlib.Path(self.user.pw_dir) / ".slipway/instances"
        runtime = pathlib.Path(f"/run/user/{self.user.pw_uid}/slipway/instances")
        return [*home.glob("*/*"), *(runtime.glob("*") if os.access(runtime, os.R_OK) else [])]

    def assert_nothing_left(self):
        def alone():
            return not set(processes_of(self.user.pw_uid)) - self.before if t.ROOT else True
        t.wait_until("no process is left", alone, 10)
        self.assertEqual(self.folders(), [])
        self.assertEqual([line for line in pathlib.Path("/proc/mounts").read_text().splitlines() if "squashfuse" in line], [])

    def scratch_image(self, startscript):
        """A directory image that borrows the host's /usr."""
        folder = pathlib.Path(tempfile.mkdtemp(prefix="slipway-e2e-", dir=self.user.pw_dir))
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        for name in ("usr", "etc", "dev", "proc", "sys", "tmp", ".singularity.d"):
            (folder / name).mkdir()
        for name in ("bin", "sbin", "lib", "lib64"):
            (folder / name).symlink_to(f"usr/{name}")
        script = folder / ".singularity.d/startscript"
        script.write_text("#!/bin/sh\n" + startscript + "\n")
        script.chmod(0o755)
        for path in [folder, *folder.rglob("*")]:
            os.chown(path, self.user.pw_uid, self.user.pw_gid, follow_symlinks=False)
        return folder

    def test_an_instance_stands_when_start_returns_and_stays_until_it_is_stopped(self):
        self.start("web")
        listed = self.list()["web"]
        self.assertEqual(listed["img"], self.sif)
        self.assertTrue(pathlib.Path(f"/proc/{listed['pid']}").exists())
        done = self.slipway("exec", "instance://web", "sh", "-c", "id -u; echo $SLIPWAY_IMAGE; cat; exit 7", stdin="piped\n", check=7)
        self.assertEqual(done.stdout.split(), [str(self.user.pw_uid), "tiny", "piped"])
        self.assertEqual(self.slipway("run", "instance://web", "a", check=0).stdout, "tiny: a\n")
        self.assertIn("shell", self.slipway("shell", "instance://web", stdin="echo shell\n", check=0).stdout)
        self.assertIn("web", self.slipway("instance", "list", check=0).stdout)
        self.slipway("instance", "stop", "web", check=0)
        self.assertEqual(self.list(), {})

    def test_all_who_enter_are_in_one_container_with_no_privilege(self):
        self.start("web")
        namespaces = {self.slipway("exec", "instance://web", "sh", "-c", "readlink /proc/self/ns/user /proc/self/ns/mnt /proc/self/ns/pid", check=0).stdout
                      for _ in range(3)}
        self.assertEqual(len(namespaces), 1)
        caps = self.slipway("exec", "instance://web", "grep", "-E", "^(Cap|NoNewPrivs)", "/proc/self/status", check=0).stdout
        self.assertEqual({line.split()[1] for line in caps.splitlines()}, {"0000000000000000", "1"})

    def test_environment_and_directory_are_those_of_whoever_enters(self):
        self.start("web", "--env", "OF=instance")
        done = self.slipway("exec", "--env", "MORE=x", "--pwd", "/etc", "instance://web", "sh", "-c", "echo $MORE $FROM_CALLER $PWD",
                            env={"FROM_CALLER": "caller"}, check=0)
        self.assertEqual(done.stdout, "x caller /etc\n")
        self.refused(self.slipway("exec", "--pwd", "/no/such", "instance://web", "true"), "/no/such")
        self.refused(self.slipway("exec", "--bind", "/tmp:/x", "instance://web", "true"), "--bind", "web")

    def test_the_startscript_runs_with_its_arguments_and_its_output_is_kept(self):
        image = self.scratch_image('echo "started with $*"; echo trouble >&2; exec sleep 1000')
        self.slipway("instance", "start", "--bind", "/usr:/usr:ro", image, "db", "--port", "7", check=0)
        t.wait_until("the script has written", lambda: self.slipway("instance", "logs", "db").stdout == "started with --port 7\n", 20)
        t.wait_until("and its errors", lambda: "trouble" in self.slipway("instance", "logs", "--err", "db").stdout, 20)
        self.assertIn(self.list()["db"]["logOutPath"], self.slipway("instance", "list", "--logs", check=0).stdout)
        follower = self.popen("instance", "logs", "-f", "db", stdout=subprocess.PIPE, text=True)
        self.assertEqual(follower.stdout.readline(), "started with --port 7\n")
        self.slipway("instance", "stop", "db", check=0)
        self.assertEqual(follower.wait(30), 0)
        follower.stdout.close()
        self.assertIn("started", self.slipway("instance", "logs", "db", check=0).stdout)  # for whoever asks why it ended

    def test_run_starts_the_runscript(self):
        self.slipway("instance", "run", self.sif, "job", "x", "y", check=0)
        t.wait_until("the runscript has run", lambda: self.slipway("instance", "logs", "job").stdout == "tiny: x y\n", 20)
        self.assertIn("job", self.list())  # the instance outlives its script

    def test_a_start_that_fails_says_why_and_leaves_nothing(self):
        self.refused(self.slipway("instance", "start", "--bind", "/etc/hostname:/etc", self.sif, "bad"), "bad", "/etc")
        self.refused(self.slipway("instance", "start", "/no/such.sif", "bad"), "/no/such.sif")
        self.refused(self.slipway("instance", "start", self.sif, "../bad"), "'../bad'")
        self.refused(self.slipway("instance", "start", self.sif, "-bad"), "-bad")
        self.refused(self.slipway("instance", "sotp", "x"), "stop")
        self.refused(self.slipway("exec", "instance://bad", "true"), "bad")
        self.refused(self.slipway("instance", "stop", "bad"), "bad")

    def test_a_name_that_runs_cannot_be_started_again(self):
        self.start("web")
        self.refused(self.slipway("instance", "start", self.sif, "web"), "web", "running already")

    def test_of_many_starts_of_one_name_one_wins(self):
        tries = [self.popen("instance", "start", self.sif, "one", stderr=subprocess.PIPE, text=True) for _ in range(8)]
        said = [process.communicate(timeout=120)[1] for process in tries]
        self.assertEqual(sorted(process.returncode for process in tries), [0] + [125] * 7, said)
        self.assertEqual(list(self.list()), ["one"])

    def test_twenty_at_once(self):
        starts = [self.popen("instance", "start", self.sif, f"i{n}", stderr=subprocess.PIPE, text=True) for n in range(20)]
        for process in starts:
            self.assertIn("is up", process.communicate(timeout=180)[1])
            self.assertEqual(process.returncode, 0)
        self.assertEqual(len(self.list()), 20)
        enters = [self.popen("exec", f"instance://i{n}", "sh", "-c", f"exit {n}") for n in range(20)]
        self.assertEqual([process.wait(120) for process in enters], list(range(20)))
        self.slipway("instance", "stop", "i1?", check=0)
        self.assertEqual(len(self.list()), 10)
        self.slipway("instance", "stop", "--all", check=0)

    def test_a_killed_keeper_takes_its_container_along_and_is_cleaned_up_after(self):
        self.start("web")
        inside = self.popen("exec", "instance://web", "sleep", "1000", stderr=subprocess.PIPE, text=True)
        self.kill_keeper_of("web")
        self.assertIn("web", inside.communicate(timeout=60)[1])
        self.assertEqual(inside.returncode, 125)
        self.assertEqual(len(self.folders()), 1)
        self.assertEqual(self.list(), {})
        self.assertEqual(self.folders(), [])
        self.start("web")  # also when nobody listed in between
        self.kill_keeper_of("web")
        self.start("web")

    def test_a_killed_init_ends_the_instance_and_all_who_are_inside(self):
        self.start("web")
        inside = self.popen("exec", "instance://web", "sleep", "1000", stderr=subprocess.PIPE, text=True)
        self.slipway("exec", "instance://web", "true", check=0)
        os.kill(self.list()["web"]["pid"], signal.SIGKILL)
        self.assertIn("ended", inside.communicate(timeout=60)[1])
        self.assertNotEqual(inside.returncode, 0)
        t.wait_until("the name is free", lambda: not self.folders(), 30)

    def test_a_killed_front_takes_its_command_along_and_nothing_else(self):
        self.start("web")
        inside = self.popen("exec", "instance://web", "sh", "-c", "echo up; exec sleep 1000", stdout=subprocess.PIPE, text=True)
        self.assertEqual(inside.stdout.readline(), "up\n")
        inside.kill()
        inside.wait()
        inside.stdout.close()
        t.wait_until("the command has gone", lambda: self.slipway("exec", "instance://web", "sh", "-c",
                     "grep -l sleep /proc/[0-9]*/comm 2>/dev/null | wc -l", check=0).stdout == "0\n", 30)

    def test_signals_reach_the_command(self):
        self.start("web")
        inside = self.popen("exec", "instance://web", "sh", "-c", "trap 'exit 9' USR1; echo up; while :; do sleep 0.1; done",
                            stdout=subprocess.PIPE, text=True)
        self.assertEqual(inside.stdout.readline(), "up\n")
        inside.send_signal(signal.SIGUSR1)
        self.assertEqual(inside.wait(30), 9)
        inside.stdout.close()

    def test_stop_asks_first_and_kills_when_it_takes_too_long(self):
        image = self.scratch_image("trap 'echo asked; exit 0' TERM; echo up; while :; do sleep 0.1; done")
        self.slipway("instance", "start", "--bind", "/usr:/usr:ro", image, "kind", check=0)
        t.wait_until("it is up", lambda: "up" in self.slipway("instance", "logs", "kind").stdout, 20)
        self.slipway("instance", "stop", "-t", "60", "kind", check=0)
        self.assertEqual(self.slipway("instance", "logs", "kind").stdout, "up\nasked\n")
        image = self.scratch_image("trap '' TERM INT; echo up; while :; do sleep 0.1; done")
        self.slipway("instance", "start", "--bind", "/usr:/usr:ro", image, "deaf", check=0)
        t.wait_until("it is up", lambda: "up" in self.slipway("instance", "logs", "deaf").stdout, 20)
        self.slipway("instance", "stop", "-s", "INT", "-t", "1", "deaf", check=0)
        self.assertEqual(self.list(), {})

    def test_an_instance_whose_folder_is_removed_ends(self):
        self.start("web")
        shutil.rmtree(self.folders()[0], ignore_errors=True)  # the keeper removes it too
        t.wait_until("it has ended", lambda: not t.ROOT or not set(processes_of(self.user.pw_uid)) - self.before, 30)

    def test_stats_count_what_is_inside(self):
        self.start("web")
        busy = self.popen("exec", "instance://web", "sh", "-c", "echo up; sleep 1000 & exec sleep 1000", stdout=subprocess.PIPE, text=True)
        self.assertEqual(busy.stdout.readline(), "up\n")
        stats = json.loads(self.slipway("instance", "stats", "--json", "web", check=0).stdout)["instances"][0]
        self.assertGreaterEqual(stats["pids"], 4)  # starter, init, squashfuse, sleep
        self.assertGreater(stats["memory_bytes"], 1 << 20)
        self.assertIn("web", self.slipway("instance", "stats", check=0).stdout)
        busy.stdout.close()
        self.slipway("instance", "stop", "web", check=0)
        busy.wait()

    @t.need_root
    def test_another_user_sees_and_reaches_nothing(self):
        self.start("web")
        folder = self.folders()[0]
        other = t.Account("slipway-other")
        self.addCleanup(other.remove)
        self.assertEqual(self.list(user=other.entry), {})
        self.refused(self.slipway("exec", "instance://web", "true", user=other.entry), "web")
        self.refused(self.slipway("instance", "stop", "web", user=other.entry), "web")
        # Even with the folders open to all, the socket asks the kernel who is there.
        script = ("import socket, sys; s = socket.socket(socket.AF_UNIX)\ntry: s.connect(sys.argv[1]); s.send(b'x'); print('in' if s.recv(1) else 'out')\n"
                  "except OSError as e: print(type(e).__name__)")
        done = t.run(["python3", "-c", script, folder / "sock"], user=other.entry, check=0)
        self.assertEqual(done.stdout, "PermissionError\n")
        opened = [*[p for p in folder.parents if str(p).startswith(self.user.pw_dir)], folder]
        for path in opened:
            path.chmod(0o755)
        (folder / "sock").chmod(0o666)
        done = t.run(["python3", "-c", script, folder / "sock"], user=other.entry, check=0)
        self.assertIn(done.stdout, ("out\n", "ConnectionResetError\n", "BrokenPipeError\n"))
        for path in opened[:-1]:
            path.chmod(0o700)
        self.slipway("exec", "instance://web", "true", check=0)

    def test_a_forged_state_is_refused_and_the_instance_can_be_stopped(self):
        self.start("web")
        state = self.folders()[0] / "state"
        for forged in (b"", os.urandom(300), state.read_bytes()[:-1]):
            state.write_bytes(forged)
            self.refused(self.slipway("exec", "instance://web", "true"), str(state))
            self.assertEqual(list(self.list()), ["web"])
        self.slipway("instance", "stop", "web", check=0)

    def terminal(self, *argv):
        """slipway ARGV on a terminal of 33 × 99; returns the process and our side."""
        ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (33, 99)) if hasattr(termios, "tcsetwinsize") else fcntl.ioctl(
            theirs, termios.TIOCSWINSZ, (33).to_bytes(2, "little") + (99).to_bytes(2, "little") + bytes(4))

        def take_terminal():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        process = self.popen(*argv, stdin=theirs, stdout=theirs, stderr=theirs, preexec_fn=take_terminal)
        os.close(theirs)
        self.addCleanup(os.close, ours)
        return process, ours

    def read_until(self, fd, word, timeout=60):
        text, end = b"", time.monotonic() + timeout
        while word not in text:
            ready, _, _ = select.select([fd], [], [], max(0, end - time.monotonic()))
            self.assertTrue(ready, f"{word!r} is not in {text!r}")
            try:
                text += os.read(fd, 4096)
            except OSError:
                self.fail(f"{word!r} is not in {text!r}")
        return text

    def test_a_terminal_is_one_inside_too(self):
        self.start("web")
        process, ours = self.terminal("shell", "instance://web")
        os.write(ours, b"stty size; test -t 0 && test -t 1 && echo a-$((20 + 3)); echo $TERM\n")
        self.assertIn(b"33 99", self.read_until(ours, b"vt100\r\n"))
        os.write(ours, b"sleep 1000; echo ended-$?\n")
        t.wait_until("it sleeps", lambda: "sleep 1000" in " ".join(processes_of(self.user.pw_uid).values()) if t.ROOT else True, 20)
        os.write(ours, b"\x03echo interrupted-$((1 + 1))\n")  # Ctrl-C ends the sleep, not the shell
        self.read_until(ours, b"interrupted-2")
        os.write(ours, b"exit 5\n")
        self.assertEqual(process.wait(60), 5)


class ExecJob(t.ClusterTest):
    NODES = 2
    IMAGES = ("tiny",)

    def running(self, *options, command="echo up; exec sleep 1000"):
        script = self.script("job.sh", command)
        job = self.cluster.submit("--image", "tiny", *options, script)
        self.addCleanup(self.cluster, "cancel", job)
        self.cluster.wait_state(job, "RUNNING")
        return job

    def enter(self, job, *argv, **options):
        # RUNNING comes before the container stands.
        def stands():
            done = self.cluster("exec", "--job", job, *argv, **options)
            return None if done.returncode == 125 and "does not stand yet" in done.stderr else done
        return t.wait_until(f"job {job} can be entered", stands, 60)

    def test_a_command_runs_beside_the_jobs_own(self):
        job = self.running()
        done = self.enter(job, "sh", "-c", "id -u; cat /proc/[0-9]*/comm; echo $SLIPWAY_JOB_ID; cat; exit 6", stdin="piped\n")
        self.assertEqual(done.returncode, 6, done.stderr)
        lines = done.stdout.split("\n")
        self.assertEqual(lines[0], str(self.account.entry.pw_uid))
        self.assertIn("sleep", lines)
        self.assertIn(str(job), lines)
        self.assertIn("piped", lines)
        self.assertEqual(self.cluster.job(job)["state"], "RUNNING")
        self.assertEqual(self.enter(job, "no-such-command").returncode, 127)
        self.assertEqual(self.cluster("shell", "--job", job, stdin="exit 4\n").returncode, 4)

    def test_a_rank_can_be_traced_from_inside(self):
        job = self.running()
        source = self.home / "trace.c"
        source.write_text(TRACER)
        subprocess.run(["gcc", "-static", "-o", self.home / "trace", source], check=True)
        pids = self.enter(job, "sh", "-c", "grep -l sleep /proc/[0-9]*/comm").stdout
        rank = pids.split("/")[2]
        done = self.enter(job, self.home / "trace", rank)
        self.assertEqual(done.stdout, "traced\n", done.stderr)
        # The container's init is not to be traced by anybody.
        self.assertEqual(self.enter(job, self.home / "trace", 1).returncode, 1)

    def test_each_node_of_a_step_can_be_chosen(self):
        process = self.cluster.popen("launch", "-N2", "-n2", "--image", "tiny", "--", "sh", "-c", "echo up; exec sleep 1000")
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.assertEqual(process.stdout.readline().strip()[-2:], "up")
        self.assertEqual(process.stdout.readline().strip()[-2:], "up")
        job = self.cluster.json("jobs")["jobs"][0]["job_id"]
        self.addCleanup(self.cluster, "cancel", job)
        for node in ("n1", "n2"):
            self.assertEqual(self.enter(job, "uname", "-n") and self.cluster("exec", "--node", node, "--job", f"{job}.0", "uname", "-n", check=0).stdout,
                             node + "\n")
        done = self.cluster("exec", "--node", "n9", "--job", job, "true")
        self.assertEqual(done.returncode, 125)
        self.assertIn("n9", done.stderr)
        for stream in (process.stdin, process.stdout, process.stderr):
            self.addCleanup(stream.close)

    def test_what_cannot_be_entered_is_one_line(self):
        for argv, word in ((("--job", "999999", "true"), "999999"), (("--job", "x", "true"), "x"), (("--job", "1"), "COMMAND"),
                           (("--job", "1", "--bind", "/x", "true"), "--bind")):
            done = self.cluster("exec", *argv)
            self.assertEqual((done.returncode, len(done.stderr.splitlines())), (125, 1), done.stderr)
            self.assertIn(word, done.stderr)

    @t.need_root
    def test_another_user_cannot_enter(self):
        job = self.running()
        self.assertEqual(self.enter(job, "true").returncode, 0)
        other = t.Account("slipway-other")
        self.addCleanup(other.remove)
        done = self.cluster("exec", "--job", job, "true", user=other.entry)
        self.assertEqual(done.returncode, 125)
        self.assertIn(str(job), done.stderr)

    def test_the_job_ends_as_if_nobody_had_been_there(self):
        job = self.running(command="while [ ! -e $HOME/go ]; do sleep 0.1; done; exit 3")
        inside = self.cluster.popen("exec", "--job", job, "sh", "-c", "echo up; exec sleep 1000")
        self.assertEqual(inside.stdout.readline().strip(), "up")
        (self.home / "go").touch()
        self.addCleanup((self.home / "go").unlink)
        ended = self.cluster.wait_end(job)
        self.assertEqual((ended["state"], ended["exit_code"]), ("FAILED", 3))
        self.assertEqual(inside.wait(60), 137)
        for stream in (inside.stdin, inside.stdout, inside.stderr):
            stream.close()


if __name__ == "__main__":
    unittest.main()
