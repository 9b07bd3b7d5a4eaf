#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A cluster of one user as `slipway init --rootless` writes it, its four daemons started as the user's systemd starts them (and no namespace
of ours around them). tests/vm has the units and the limits."""
import os
import pathlib
import shutil
import signal
import subprocess
import unittest

import slipway_testing as t


@unittest.skipUnless(t.ROOT, "needs root: an account of its own, and its /run/user")
class OwnCluster(unittest.TestCase):
    def setUp(self):
        self.account = t.Account("slipway-own")
        self.addCleanup(self.account.remove)
        entry = self.account.entry
        self.home, self.run = pathlib.Path(entry.pw_dir), pathlib.Path(f"/run/user/{entry.pw_uid}")
        self.assertFalse(self.run.exists())
        for folder in (self.run, self.run / "slipway", self.run / "slipway/controller"):  # by logind, and by RuntimeDirectory=
            folder.mkdir(parents=True)
            os.chown(folder, entry.pw_uid, entry.pw_gid)
        self.addCleanup(shutil.rmtree, self.run)
        self.daemons = {}
        self.addCleanup(self.end_all)

    def hers(self, *argv, **options):
        return t.run([t.SLIPWAY, *argv], user=self.account.entry, cwd=self.home, **options)

    def start(self, program, *argv):
        entry = self.account.entry
        log = open(self.home / f"{program}.log", "a", encoding="utf-8")
        self.addCleanup(log.close)
        # 100 is what systemd gives the processes of users.
        self.daemons[program] = subprocess.Popen(
            ["choom", "-n", "100", "--", "setpriv", "--reuid", entry.pw_name, "--regid", str(entry.pw_gid), "--init-groups", t.BIN / program, *argv],
            cwd="/", env={"HOME": entry.pw_dir, "PATH": "/usr/bin:/bin"}, stdout=log, stderr=log)

    def end_all(self):
        for daemon in reversed(self.daemons.values()):
            daemon.send_signal(signal.SIGTERM)
            daemon.wait(timeout=60)

    def logs(self):
        return "\n".join(path.read_text()[-1500:] for path in self.home.glob("*.log"))

    def test_a_job_of_his_runs_without_root(self):
        self.hers("init", self.home / ".config/slipway", "--rootless", "--port", "16831", check=0)
        # The programs of this build instead of those that a site installs, and no cgroup of a systemd that is not here.
        conf = self.home / ".config/slipway/starter.conf"
        lines = [line for line in conf.read_text().splitlines() if not line.startswith("cgroup = ")]
        conf.write_text("\n".join([*lines, f"stepd = {t.BIN}/slipway-stepd", f"import = {t.BIN}/slipway-import", ""]))
        settings = self.home / ".config/slipway/slipway.toml"
        client = self.home / ".local/state/slipway/client/bin"
        for program in ("slipway", "slipway-remote"):
            shutil.copy(t.BIN / program, client / program)
        self.start("slipway-holder", "--config", conf)
        t.wait_until("the holder", lambda: (self.run / "slipway/holder.sock").exists())
        self.start("slipway-broker", "--config", conf)
        t.wait_until(f"the broker: {self.logs()}", lambda: (self.run / "slipway/broker.sock").exists())
        self.start("slipwayd", "--config", settings)
        self.start("slipway-agent", "--config", settings)
        try:
            t.wait_until("the node is up", lambda: '"UP"' in self.hers("nodes", "--json").stdout)
            image = t.image("tiny")
            done = self.hers("launch", "-n1", "--image", image, "--", "sh", "-c", "id -u; exit 6", timeout=120)
            self.assertEqual((done.returncode, done.stdout.strip()), (6, str(self.account.entry.pw_uid)), done.stderr)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.logs()}") from None


if __name__ == "__main__":
    unittest.main()
