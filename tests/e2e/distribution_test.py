#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Images travel from node to node: the second node takes them from the first, a killed agent goes on where it was."""
import os
import pathlib
import re
import unittest

import slipway_testing as t

CHUNK = 4 << 20


class Distribution(t.ClusterTest):
    """Four virtual nodes; counters are those that the controller logs of each fetch."""
    NODES = 4
    IMAGES = ("tiny",)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # Bytes that do not compress, so that the image has many chunks.
        root = pathlib.Path(t.tempfile.mkdtemp(prefix="slipway-e2e-"))
        cls.addClassCleanup(t.shutil.rmtree, root, ignore_errors=True)
        root.chmod(0o755)
        for name, mib in (("big", 120), ("huge", 400)):
            recipe = root / f"{name}.def"
            blob = root / f"{name}.bin"
            with open(blob, "wb") as out:
                for _ in range(mib):
                    out.write(os.urandom(1 << 20))
            recipe.write_text(f"Bootstrap: localimage\nFrom: {cls.tiny}\n%files\n    {blob} /{name}.bin\n")
            sif = root / f"{name}.sif"
            t.run([t.SLIPWAY, "build", sif, recipe], timeout=300, check=0)
            cls.cluster("image", "add", sif, name, check=0, timeout=300)
            blob.unlink()

    def fetches(self, node):
        """What the controller logged of that node's fetches: {digest: counters}."""
        log = next(self.cluster.state.glob("log/slipwayd*"), None) or next(self.cluster.state.rglob("slipwayd.log"))
        found = {}
        for line in log.read_text().splitlines():
            if "node fetched an image" not in line or not re.search(rf"node={node}\b", line):
                continue
            fields = dict(re.findall(r"(\w+)=(\S+)", line))
            found[fields["digest"]] = {k: int(fields[k]) for k in ("chunks", "from_controller", "from_peers", "resumed")}
        return found

    def digest(self, name):
        images = self.cluster.json("image", "ls")["images"]
        return next(i["digest"] for i in images if re.fullmatch(rf"(.*/)?{name}(:latest)?", i["name"]))

    def run_on(self, image, nodes):
        done = self.cluster("launch", f"-N{nodes}", "-n", nodes, "--image", image, "--", "true", timeout=200)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_the_second_node_takes_it_from_the_first(self):
        digest = self.digest("big")
        self.run_on("big", 1)
        holders = [n for n in ("n1", "n2", "n3", "n4") if digest in self.fetches(n)]
        self.assertEqual(len(holders), 1, holders)
        first = self.fetches(holders[0])[digest]
        self.assertGreater(first["chunks"], 25)
        self.assertEqual(first["from_controller"], first["chunks"])
        self.run_on("big", 4)
        for node in {"n1", "n2", "n3", "n4"} - set(holders):
            counters = self.fetches(node)[digest]
            self.assertEqual((counters["from_controller"], counters["from_peers"]), (0, counters["chunks"]), node)

    def test_an_agent_killed_in_the_middle_goes_on(self):
        digest = self.digest("huge")
        part = lambda: list(self.cluster.state.rglob(f"{digest.split(':')[1]}.part"))
        job = self.cluster.submit("--image", "huge", "-N", 1, "--output", "/dev/null", "--wrap", "true")

        def some_written():
            for path in part():
                with t.contextlib.suppress(OSError):
                    data = os.open(path, os.O_RDONLY)
                    try:
                        # Written blocks; what is only reserved is a hole.
                        written = sum(1 for at in range(0, os.fstat(data).st_size, CHUNK) if has_data(data, at))
                    finally:
                        os.close(data)
                    if written >= 8:
                        return path
            return None
        path = t.wait_until("some chunks of it have come", some_written)
        node = next(n for n in ("n1", "n2", "n3", "n4") if f"/{n}/" in str(path))
        self.cluster.kill(f"{node}-agent")
        self.assertEqual(self.cluster.wait_end(job)["state"], "COMPLETED")
        counters = self.fetches(node)[digest]
        self.assertGreaterEqual(counters["resumed"], 4, counters)
        self.assertEqual(counters["resumed"] + counters["from_controller"] + counters["from_peers"], counters["chunks"])


def has_data(fd, at):
    """Does the chunk that begins at `at` hold anything?"""
    try:
        return os.lseek(fd, at, os.SEEK_DATA) < at + CHUNK
    except OSError:
        return False


if __name__ == "__main__":
    unittest.main()
