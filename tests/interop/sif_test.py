#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""SIF files and squashfs images, exchanged with Apptainer and with Debian's squashfs-tools."""
import json
import os
import re
import subprocess

import interop


class SifWithApptainer(interop.Interop):
    def built(self):
        self.small_root()
        self.write("root/.singularity.d/runscript", "#!/bin/sh\necho runs\n", 0o755)
        self.write("root/.singularity.d/labels.json", json.dumps({"who": "slipway"}))
        self.slipway("build", "ours.sif", "root")
        return self.path("ours.sif")

    @interop.needs_apptainer()
    def test_it_lists_what_we_write_as_we_do(self):
        ours = self.built()
        self.write("bom.json", "{}")
        self.slipway("sif", "add", ours, "bom.json", "--datatype", "sbom", "--sbomformat", "spdx-json", "--groupid", "1")
        self.slipway("sif", "add", ours, "bom.json", "--datatype", "oci-blob", "--groupid", "2", "--link", "1")
        self.slipway("sif", "add", ours, "hello", "--datatype", "1", code=1)
        theirs, _ = self.apptainer("sif", "list", ours)
        mine, _ = self.slipway("sif", "list", ours)
        squeeze = lambda text: [re.sub(r"\s+", " ", line).strip() for line in text.splitlines()]
        self.assertEqual(squeeze(theirs), squeeze(mine))
        for id_ in ("1", "2", "3", "4"):
            theirs, _ = self.apptainer("sif", "info", id_, ours)
            mine, _ = self.slipway("sif", "info", id_, ours)
            skip_times = lambda text: [re.sub(r"\s+", " ", l).strip() for l in text.splitlines() if " At:" not in l]
            self.assertEqual(skip_times(theirs), skip_times(mine))
        theirs, _ = self.apptainer("sif", "header", ours)
        self.assertIn(re.search(r"ID:\s+(\S+)", theirs).group(1), self.slipway("sif", "header", ours)[0])

    @interop.needs_apptainer()
    def test_it_runs_and_inspects_what_we_build(self):
        ours = self.built()
        out, _ = self.apptainer("exec", ours, "/bin/cat", "/hello.txt")
        self.assertEqual("hello from the image\n", out)
        out, _ = self.apptainer("run", ours)
        self.assertIn("runs", out)
        out, _ = self.apptainer("inspect", "--json", ours)
        self.assertEqual("slipway", json.loads(out)["data"]["attributes"]["labels"]["who"])

    @interop.needs_apptainer()
    def test_we_read_and_run_what_it_builds(self):
        self.small_root()
        self.apptainer("build", self.path("theirs.sif"), self.path("root"))
        out, _ = self.slipway("sif", "list", "theirs.sif")
        self.assertIn("FS (Squashfs/*System/", out)
        out, _ = self.slipway("exec", "theirs.sif", "/bin/cat", "/hello.txt")
        self.assertEqual("hello from the image\n", out)

    @interop.needs_apptainer()
    def test_each_edits_what_the_other_edited(self):
        ours = self.built()
        self.write("data.bin", os.urandom(5000))
        self.apptainer("sif", "add", "--datatype", "7", "--groupid", "3", ours, self.path("data.bin"))
        self.slipway("sif", "add", ours, "data.bin", "--datatype", "generic", "--groupid", "3", "--alignment", "512")
        listed = json.loads(self.slipway("sif", "list", "--json", ours)[0])["objects"]
        ids = [o["id"] for o in listed if o["group"] == 3]
        self.assertEqual(2, len(ids))
        for id_ in ids:
            dumped = subprocess.run([interop.SLIPWAY, "sif", "dump", str(id_), ours], capture_output=True, check=True)
            with open(self.path("data.bin"), "rb") as f:
                self.assertEqual(f.read(), dumped.stdout)
        self.slipway("sif", "del", str(ids[0]), ours)
        self.apptainer("sif", "del", str(ids[1]), ours)
        self.assertEqual([], [o for o in json.loads(self.slipway("sif", "list", "--json", ours)[0])["objects"]
                              if o["group"] == 3])
        self.apptainer("exec", ours, "/bin/cat", "/hello.txt")

    @interop.needs_apptainer()
    def test_setprim_means_the_same(self):
        ours = self.built()
        primary = next(o["id"] for o in json.loads(self.slipway("sif", "list", "--json", ours)[0])["objects"]
                       if o.get("part_type") == "*System")
        with open(self.path("part.sqfs"), "wb") as f:
            f.write(subprocess.run([interop.SLIPWAY, "sif", "dump", str(primary), ours], capture_output=True,
                                   check=True).stdout)
        self.slipway("sif", "add", ours, "part.sqfs", "--datatype", "partition", "--parttype", "system", "--partfs", "1",
                     "--partarch", "arm64", "--groupid", "1")
        self.apptainer("sif", "setprim", str(primary + 1), ours)
        self.assertEqual("arm64", json.loads(self.slipway("sif", "header", "--json", ours)[0])["header"]["arch"])
        self.slipway("sif", "setprim", str(primary), ours)
        self.assertNotIn("arm64", self.apptainer("sif", "header", ours)[0])
        self.apptainer("exec", ours, "/bin/cat", "/hello.txt")


class SquashfsTools(interop.Interop):
    @interop.needs("unsquashfs")
    def test_unsquashfs_reads_ours(self):
        root = self.small_root()
        os.link(root + "/hello.txt", root + "/linked.txt")
        os.symlink("hello.txt", root + "/soft.txt")
        self.slipway("build", "ours.sif", "root")
        partition = json.loads(self.slipway("sif", "list", "--json", "ours.sif")[0])["objects"][-1]
        self.run_command(["unsquashfs", "-q", "-n", "-o", str(partition["offset"]), "-d", self.path("out"), "ours.sif"])
        self.run_command(["diff", "-r", "--no-dereference", root, self.path("out")])
        self.assertEqual(os.stat(self.path("out/hello.txt")).st_ino, os.stat(self.path("out/linked.txt")).st_ino)

    @interop.needs("mksquashfs")
    def test_what_mksquashfs_writes_runs_with_every_compressor(self):
        root = self.small_root()
        for compressor in ("gzip", "xz", "lz4", "zstd"):
            image = self.path(f"{compressor}.sqfs")
            self.run_command(["mksquashfs", root, image, "-comp", compressor, "-noappend", "-quiet", "-no-progress"])
            self.assertIn(compressor, self.slipway("inspect", image)[0])
            out, _ = self.slipway("exec", image, "/bin/cat", "/hello.txt")
            self.assertEqual("hello from the image\n", out)


if __name__ == "__main__":
    interop.main()
