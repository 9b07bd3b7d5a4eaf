#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The systemd units: how exposed they leave a daemon, by systemd's own measure, and what must not be in them."""
import argparse
import pathlib
import re
import shutil
import subprocess
import sys
import unittest

UNITS = pathlib.Path()

# Each of these is a seccomp filter or a property of processes that every rank of every job would inherit.
INHERITED = ("SystemCallFilter", "SystemCallArchitectures", "RestrictAddressFamilies", "RestrictNamespaces", "RestrictRealtime",
             "RestrictSUIDSGID", "MemoryDenyWriteExecute", "LockPersonality", "NoNewPrivileges", "ProtectClock", "ProtectKernelModules",
             "ProtectKernelLogs", "ProtectKernelTunables", "ProtectHostname", "PrivateDevices", "CapabilityBoundingSet")


def settings(unit):
    return [line.split("=", 1)[0] for line in (UNITS / unit).read_text().splitlines() if re.match(r"[A-Za-z]+=", line)]


class Units(unittest.TestCase):
    def exposure(self, unit):
        tool = shutil.which("systemd-analyze")
        if tool is None:
            self.skipTest("no systemd-analyze")
        done = subprocess.run([tool, "security", "--offline=true", str(UNITS / unit)], capture_output=True, text=True)
        found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
        self.assertTrue(found, f"{done.stdout[-500:]}{done.stderr}")
        print(f"{unit}: exposure {found.group(1)}", file=sys.stderr)
        return float(found.group(1))

    def test_slipwayd_is_exposed_by_no_more_than_2(self):
        self.assertLessEqual(self.exposure("slipwayd.service"), 2.0)

    def test_the_agent_is_exposed_by_no_more_than_2(self):
        self.assertLessEqual(self.exposure("slipway-agent.service"), 2.0)

    def test_the_agent_may_look_for_gpus(self):
        """RestrictSUIDSGID= refuses openat2(2), without which every host's tree looks empty (tests/vm sees it)."""
        self.assertNotIn("RestrictSUIDSGID", settings("slipway-agent.service"))

    def test_what_starts_jobs_hands_no_filter_down_to_them(self):
        for unit in ("slipway-broker.service", "slipway-steps.service"):
            self.assertEqual([], [s for s in settings(unit) if s in INHERITED], unit)

    def test_a_users_units_are_delegated_and_name_what_init_writes(self):
        texts = {unit.name: unit.read_text() for unit in (UNITS.parent / "systemd-user").glob("*.service")}
        self.assertEqual(set(texts), {"slipway-steps.service", "slipway-broker.service", "slipwayd.service", "slipway-agent.service"})
        steps = texts["slipway-steps.service"]
        for line in ("Delegate=yes", "Slice=app.slice", "KillMode=mixed", "RuntimeDirectory=slipway"):
            self.assertIn(f"\n{line}\n", steps)
        for name, text in texts.items():
            self.assertNotRegex(text, r"(?m)^(User|LoadCredential|CapabilityBoundingSet|ProtectSystem)=", f"{name}: of the system's manager alone")
            self.assertRegex(text, r"(?m)^ExecStart=\S+ --config %h/\.config/slipway/(slipway\.toml|starter\.conf)$")
            self.assertIn("WantedBy=default.target", text)
        for name in ("slipway-steps.service", "slipway-broker.service"):
            self.assertEqual([], [s for s in INHERITED if re.search(rf"(?m)^{s}=", texts[name])], name)

    def test_systemd_itself_understands_them(self):
        tool = shutil.which("systemd-analyze")
        if tool is None:
            self.skipTest("no systemd-analyze")
        for folder, words in ((UNITS, []), (UNITS.parent / "systemd-user", ["--user"])):
            units = sorted(map(str, folder.glob("*.service")))
            done = subprocess.run([tool, *words, "verify", "--man=no", "--generators=no", "--recursive-errors=no", *units],
                                  capture_output=True, text=True, env={"PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": "/run", "HOME": "/root"})
            wrong = [line for line in done.stderr.splitlines() if re.search(r"slipway\S*\.service:\d+:", line)]
            self.assertEqual([], wrong)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--source", required=True)
    known, rest = parser.parse_known_args()
    UNITS = pathlib.Path(known.source) / "packaging/systemd"
    unittest.main(argv=[sys.argv[0], *rest])
