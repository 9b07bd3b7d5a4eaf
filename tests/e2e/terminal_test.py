#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`launch --pty`: a rank on a terminal of its container, seen through a real terminal here."""
import re
import signal
import unittest

import slipway_testing as t
from terminal import Terminal, name


class LaunchPty(t.ClusterTest):
    NODES = 1
    IMAGES = ("tiny",)

    def shell(self, *words, command=("launch",), **options):
        argv = [t.SLIPWAY, *command, "--image", "tiny", "--pty", *words]
        terminal = Terminal(argv, user=self.cluster.user, env={"SLIPWAY_CONTEXT": self.cluster.context}, **options)
        self.addCleanup(terminal.close)
        return terminal

    def ready(self, *words, **options):
        terminal = self.shell(*(words or ("/bin/sh",)), **options)
        terminal.type("echo rea''dy\n")
        terminal.expect("ready\r\n")
        return terminal

    def test_a_shell_has_a_terminal_of_its_container_and_its_exit_code_is_kept(self):
        terminal = self.ready()
        self.assertTrue(terminal.is_raw(), "while the ranks run")
        terminal.type("tty; echo $TERM; test -t 0 && test -t 1 && test -t 2 && echo three''fold\n")
        terminal.expect("/dev/pts/0\r\nxterm\r\nthreefold\r\n")
        terminal.type("env | grep -c ^SLIPWAY_TERMINAL; exit 7\n")
        terminal.expect("0\r\n")
        self.assertEqual(terminal.wait(), 7)
        self.assertTrue(terminal.restored())

    def test_the_windows_size_is_carried_and_its_changes_too(self):
        terminal = self.ready(rows=31, columns=101)
        terminal.type("stty size\n")
        terminal.expect("31 101\r\n")
        # Not of the interactive shell itself: it puts each of its commands in front, and the change is told there.
        terminal.type("sh -c \"trap 'echo chan''ged' WINCH; echo list''ens; while :; do sleep 0.1; done\"\n")
        terminal.expect("listens\r\n")
        terminal.resize(42, 123)
        terminal.expect("changed\r\n")
        terminal.type("\x03")
        terminal.type("\nstty size\n")
        terminal.expect("42 123\r\n")
        terminal.type("exit\n")
        terminal.wait()

    def test_control_c_and_control_d_go_through_the_line_discipline(self):
        terminal = self.ready()
        terminal.type("sh -c 'echo be''gun; exec sleep 600'\n")
        terminal.expect("begun\r\n")
        terminal.type("\x03")
        terminal.type("echo still he''re $?\n")
        terminal.expect("still here 130\r\n")
        terminal.type("\x04")
        self.assertEqual(terminal.wait(), 0)
        self.assertTrue(terminal.restored())

    def test_the_terminal_is_given_back_after_a_signal_to_us(self):
        for number in (signal.SIGTERM, signal.SIGHUP):
            terminal = self.ready()
            terminal.process.send_signal(number)
            self.assertNotEqual(terminal.wait(), 0)
            self.assertTrue(terminal.restored(), number)

    def test_the_terminal_is_given_back_after_the_job_was_cancelled(self):
        terminal = self.ready()
        terminal.type("echo =$SLIPWAY_JOB_ID''=; echo sa''id\n")
        job = re.search(r"=(\d+)=\r\n", terminal.expect("said\r\n")).group(1)
        self.cluster("cancel", job, check=0)
        self.assertNotEqual(terminal.wait(), 0)
        self.assertTrue(terminal.restored())

    def test_the_terminal_is_given_back_after_a_command_that_is_not_there(self):
        terminal = self.shell("no-such-command")
        self.assertEqual(terminal.wait(), 127)
        self.assertTrue(terminal.restored())
        self.assertIn("no-such-command", terminal.seen)

    def test_what_a_short_command_says_is_seen_whole(self):
        terminal = self.shell("/bin/sh", "-c", "i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done")
        self.assertEqual(terminal.wait(), 0)
        terminal.expect("line 1999\r\n")

    def test_only_rank_0_is_on_the_terminal(self):
        terminal = self.shell("-n2", "/bin/sh", "-c", "echo rank $SLIPWAY_RANK; test -t 0 && echo on a terminal; true")
        terminal.wait()
        self.assertIn("rank 0\r\non a terminal", terminal.seen)
        self.assertNotIn("rank 1", terminal.seen)

    def test_without_a_terminal_it_is_refused_and_srun_goes_on(self):
        done = self.cluster("launch", "--image", "tiny", "--pty", "true")
        self.assertEqual(done.returncode, 2)
        self.assertIn("no terminal", done.stderr)
        done = t.run([name("srun"), "--image", "tiny", "--pty", "echo", "went on"], user=self.cluster.user,
                     env={"SLIPWAY_CONTEXT": self.cluster.context}, check=0)
        self.assertEqual(done.stdout, "went on\n")
        self.assertIn("no terminal", done.stderr)

    def test_what_excludes_a_terminal_is_named(self):
        for word in ("--output=x", "--label", "--input=x"):
            done = self.cluster("launch", "--image", "tiny", "--pty", word, "true")
            self.assertEqual(done.returncode, 2)
            self.assertIn(word.split("=")[0], done.stderr)

    def test_inside_an_allocation_it_is_a_step(self):
        terminal = Terminal([name("salloc"), "--image", "tiny", "-n2"], user=self.cluster.user,
                            env={"SLIPWAY_CONTEXT": self.cluster.context})
        self.addCleanup(terminal.close)
        terminal.expect("Granted job allocation")
        terminal.type(f"{name('srun')} --pty /bin/sh\n")
        terminal.type("echo rea''dy $SLURM_NTASKS; tty\n")
        terminal.expect("ready 1\r\n/dev/pts/0\r\n")
        terminal.type("exit 3\n")
        # Said when the terminal is given back and before the front has gone: what is typed now is the next shell's.
        terminal.expect("rank 0 on n1 exited with code 3\r\n")
        terminal.type("echo then co''de $?\n")
        terminal.expect("then code 3\r\n")
        terminal.type("exit 4\n")
        self.assertEqual(terminal.wait(), 4)
        self.assertTrue(terminal.restored())


if __name__ == "__main__":
    unittest.main()
