#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The catalogue as a user and an administrator work with it: slipway image …"""
import hashlib
import json
import os
import pathlib
import pwd
import shutil
import subprocess
import sys
import tempfile
import unittest

import slipway_testing as t

sys.path.insert(0, str(t.SOURCE / "tests/interop"))
from oci_layout import Layout, layer


class Images(t.ClusterTest):
    NODES = 1
    IMAGES = ("mpi", "tiny")

    def show(self, name, **options):
        return json.loads(self.cluster("image", "show", "--json", name, check=0, **options).stdout)

    def refused(self, *argv, names, code=1, **options):
        done = self.cluster(*argv, **options)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        for word in names:
            self.assertIn(word, done.stderr)
        return done.stderr

    def admin(self, *argv, **options):
        return self.cluster("image", *argv, user=pwd.getpwuid(0), **options)

    def digest_of(self, name):
        return self.show(name)["digest"]

    def tree(self, text):
        """A root of its own with `text` in it."""
        root = pathlib.Path(tempfile.mkdtemp(prefix="image-", dir=self.home))
        self.addCleanup(shutil.rmtree, root)
        (root / "text").write_text(text)
        os.chmod(root, 0o755)
        return root

    def new_image(self, text, name):
        return self.cluster.json("image", "add", str(self.tree(text)), name)

    def test_show_tells_what_is_inside_and_whether_its_mpi_can_be_started(self):
        mpi = self.show("mpi")
        self.assertEqual(mpi["arch"], "amd64")
        self.assertRegex(mpi["libc"], r"^glibc 2\.")
        self.assertRegex(mpi["pmix"], r"^4\.")
        self.assertEqual([m["family"] for m in mpi["mpi"]], ["Open MPI"])
        self.assertRegex(mpi["mpi"][0]["version"], r"^4\.1\.")
        self.assertTrue(mpi["mpi"][0]["can"])
        self.assertEqual(mpi["mpi"][0]["how"], "PMIx")
        names = {(p["kind"], p["name"]) for p in mpi["packages"]}
        self.assertIn(("dpkg", "libopenmpi3"), names)
        self.assertIn(("pip", "mpi4py"), names)
        text = self.cluster("image", "show", "mpi", check=0).stdout
        self.assertRegex(text, r"(?m)^mpi +Open MPI 4\.1.*speaks PMIx 4.*started by PMIx$")
        self.assertNotIn("libopenmpi3", text)
        self.assertIn("libopenmpi3", self.cluster("image", "show", "--packages", "mpi", check=0).stdout)

    def test_the_bill_of_materials_is_spdx_or_cyclonedx(self):
        spdx = json.loads(self.cluster("image", "show", "--sbom", "spdx", "mpi", check=0).stdout)
        self.assertEqual(spdx["spdxVersion"], "SPDX-2.3")
        self.assertGreater(len(spdx["packages"]), 100)
        cyclone = json.loads(self.cluster("image", "show", "--sbom=cyclonedx", "mpi", check=0).stdout)
        self.assertEqual(cyclone["bomFormat"], "CycloneDX")
        self.assertIn("pkg:deb/debian/libopenmpi3", " ".join(c["purl"] for c in cyclone["components"]))
        self.refused("image", "show", "--sbom", "x", "mpi", names=["spdx and cyclonedx"])

    def test_names_move_and_their_history_stays(self):
        first, second = self.new_image("one", "hist/a"), self.new_image("two", "hist/b")
        self.cluster("image", "tag", "hist/a", "hist/stable", check=0)
        self.cluster("image", "tag", "hist/b", "hist/stable", check=0)
        history = self.cluster.json("image", "history", "hist/stable")
        self.assertEqual([m["digest"] for m in history["history"]], [second["digest"], first["digest"]])
        self.assertEqual({m["by"] for m in history["history"]}, {self.account.entry.pw_name})
        pinned = self.show(f"hist/stable@{first['digest']}")
        self.assertEqual(pinned["digest"], first["digest"])
        self.cluster("image", "untag", "hist/a", check=0)
        self.assertEqual(self.show(first["digest"])["names"], ["hist/stable:latest"], "the bytes are still there")
        self.assertEqual(self.cluster.json("image", "rm", "hist/b"), {"removed": ["hist/b"]})
        listed = {i["name"] for i in self.cluster.json("image", "ls", "hist/")["images"]}
        self.assertEqual(listed, {"hist/stable:latest"})
        self.refused("image", "show", "hist/stabel", names=["did you mean hist/stable:latest?"])

    def test_use_is_counted(self):
        before = self.show("tiny")["jobs"]
        self.cluster("launch", "-n1", "--image", "tiny", "--", "true", check=0)
        t.wait_until("the use is written down", lambda: self.show("tiny")["jobs"] == before + 1, 20)
        self.assertGreater(self.show("tiny")["last_used_ms"], 0)

    def test_pull_brings_an_image_as_the_user(self):
        layout = Layout(self.home / "oci")
        self.addCleanup(shutil.rmtree, layout.path)
        layout.index([layout.manifest([layer(("hello", b"from a registry"))])])
        self.cluster("image", "pull", f"oci:{layout.path}", "pulled/x", check=0)
        self.assertEqual(self.show("pulled/x")["name"], "pulled/x:latest")
        self.refused("image", "pull", "tiny.sif", names=["slipway image add"], code=2)

    @t.need_root
    def test_private_names_are_seen_by_their_owner_only(self):
        other = t.Account("slipway-oth")
        self.addCleanup(other.remove)
        image = self.new_image("secret", "priv/x")
        self.cluster("image", "share", "priv/x", "private", check=0)
        self.assertEqual(self.show("priv/x")["visibility"], "private")
        for reference in ("priv/x", image["digest"]):
            self.refused("image", "show", reference, names=["no image is called" if "/" in reference else "is not here"],
                         user=other.entry)
            self.refused("launch", "-n1", "--image", reference, "--", "true", names=["image"], code=125, user=other.entry)
        listed = self.cluster("image", "ls", "--json", user=other.entry, check=0).stdout
        self.assertNotIn("priv/x", listed)
        self.refused("image", "share", "tiny", "public", names=["belongs to"], user=other.entry)
        self.refused("image", "rm", "tiny", names=["belongs to"], user=other.entry)
        self.refused("image", "share", "priv/x", "group:no-such-group", names=["no group no-such-group"])

    @t.need_root
    def test_the_execution_policy_is_held_at_submit(self):
        digest = self.new_image("of the policy", "pol/x")["digest"]
        user = self.account.entry.pw_name
        self.refused("image", "deny", "*", names=["is for administrators"])
        rule = json.loads(self.admin("deny", "--json", "pol/x", check=0).stdout)
        try:
            for reference in ("pol/x", "pol/x:latest", digest, f"pol/x@{digest}"):
                said = self.refused("submit", "--image", reference, "--wrap", "true", names=[
                    f"rule {rule['id']} (deny pol/x)", f"slipway image allow pol/x:latest --user {user}"])
                self.assertIn(reference, said)
            self.refused("launch", "-n1", "--image", "pol/x", "--", "true", names=["deny pol/x"], code=125)
            self.refused("image", "tag", "pol/x", "mine/x", names=["deny pol/x"], user=self.stranger())
            self.assertFalse(self.show("pol/x")["may_run"])
            listed = json.loads(self.admin("allow", "--json", check=0).stdout)["rules"]
            self.assertEqual([r["pattern"] for r in listed], ["pol/x"])
            allowed = json.loads(self.admin("allow", "--json", "pol/x:latest", "--user", user, check=0).stdout)
            self.cluster("cancel", self.cluster.submit("--hold", "--image", "pol/x", "--wrap", "true"), check=0)
            self.admin("allow", "--remove", str(allowed["id"]), check=0)
        finally:
            self.admin("deny", "--remove", str(rule["id"]), check=0)
        self.cluster("cancel", self.cluster.submit("--hold", "--image", "pol/x", "--wrap", "true"), check=0)

    @t.need_root
    def test_a_project_is_its_owners_who_let_others_in(self):
        user, other = self.account.entry.pw_name, self.stranger()
        self.refused("image", "project", "team", "--owner", f"user:{user}", names=["administrators"])
        given = json.loads(self.admin("project", "--json", "team", "--owner", f"user:{user}", check=0).stdout)
        self.assertEqual(given["owners"], [f"user:{user}"])
        self.new_image("of the team", "team/x")
        self.refused("image", "tag", "tiny", "team/y", user=other,
                     names=["the project team belongs to", f"slipway image project team --member user:{other.pw_name}"])
        self.refused("image", "rm", "team/x", names=["you are not in it"], user=other)
        self.cluster("image", "project", "team", "--member", f"user:{other.pw_name}", check=0)
        self.cluster("image", "tag", "tiny", "team/x", user=other, check=0)
        past = self.cluster.json("image", "history", "team/x")["history"]
        self.assertEqual([m["by"] for m in past], [other.pw_name, user])
        self.refused("image", "rm", "team/x", names=["belongs to"], user=other)
        listed = self.cluster.json("image", "project", "team")["projects"]
        self.assertEqual(listed[0]["members"], [f"user:{other.pw_name}"])
        self.cluster("image", "project", "team", "--leave", f"user:{other.pw_name}", check=0)
        self.refused("image", "tag", "tiny", "team/x", names=["you are not in it"], user=other)
        self.admin("project", "team", "--open", check=0)
        self.refused("image", "project", "team", names=["was given to nobody"])
        self.refused("image", "project", "--open", names=["name the project"], code=2)
        self.cluster("image", "rm", "team/x", check=0)

    def stranger(self):
        other = t.Account("slipway-str")
        self.addCleanup(other.remove)
        return other.entry

    def new_key(self, name):
        """Files NAME.pem and NAME.pub of a key pair; returns their common part."""
        key = self.home / name
        t.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", f"{key}.pem"], check=0)
        t.run(["openssl", "pkey", "-in", f"{key}.pem", "-pubout", "-out", f"{key}.pub"], check=0)
        return key

    def site_key(self, name):
        """One whose signatures count here, until the test ends."""
        key = self.new_key(name)
        keys = self.cluster.state / "cluster" / "image-keys"
        keys.write_text(pathlib.Path(f"{key}.pub").read_text())
        self.addCleanup(keys.unlink)
        return key, keys

    def mine(self, source, name):
        """A copy of the file that is the user's."""
        path = self.home / name
        shutil.copy(source, path)
        os.chown(path, self.account.entry.pw_uid, self.account.entry.pw_gid)
        self.addCleanup(path.unlink)
        return path

    @t.need_root
    def test_what_a_key_of_the_site_signed_is_kept_as_it_is(self):
        sif = self.mine(self.tiny, "vendor.sif")
        root = self.home / "vendor.sqsh"
        offset, size = next((d["offset"], d["size"]) for d in json.loads(
            t.run([t.SLIPWAY, "sif", "list", "--json", sif], check=0).stdout)["objects"] if d["type"] == "FS")
        root.write_bytes(sif.read_bytes()[offset:offset + size])
        os.chown(root, self.account.entry.pw_uid, self.account.entry.pw_gid)
        self.addCleanup(root.unlink)
        signed = "sha256:" + hashlib.sha256(root.read_bytes()).hexdigest()
        self.refused("image", "add", "--as-is", str(sif), "asis/x", names=["image-keys"])
        key, _ = self.site_key("vendor")
        self.refused("image", "add", "--as-is", str(sif), "asis/x", names=[
            "--as-is needs a signature by a key of this site", "it is not signed; without --as-is it is packed anew"])
        self.refused("image", "add", "--as-is", str(root), "asis/x", names=["--as-is needs a SIF, which a key of the site has signed"])
        t.run([t.SLIPWAY, "sign", "--key", f"{self.new_key('stranger')}.pem", sif], check=0)
        self.refused("image", "add", "--as-is", str(sif), "asis/x", names=["a key of this site"])
        self.refused("image", "show", "asis/x", names=["no image is called"])
        t.run([t.SLIPWAY, "sign", "--key", f"{key}.pem", sif], check=0)
        self.cluster("image", "add", "--as-is", str(sif), "asis/x", check=0)
        shown = self.show("asis/x")
        self.assertEqual(shown["digest"], signed, "the store has the very bytes that were signed")
        der = subprocess.run(["openssl", "pkey", "-pubin", "-in", f"{key}.pub", "-outform", "DER"], capture_output=True, check=True)
        self.assertIn("sha256:" + hashlib.sha256(der.stdout).hexdigest(), [s["key"] for s in shown["signers"]])
        self.assertRegex(shown["libc"], "glibc")
        self.cluster("launch", "-n1", "--image", "asis/x", "--", "true", check=0)
        self.admin("verify", "asis/x", check=0)
        with open(sif, "r+b") as file:  # of the partition's bytes
            file.seek(offset + size // 2)
            byte = file.read(1)
            file.seek(offset + size // 2)
            file.write(bytes([byte[0] ^ 1]))
        self.refused("image", "add", "--as-is", str(sif), "asis/y", names=[f"what was signed is {signed}"])
        self.refused("image", "show", "asis/y", names=["no image is called"])

    @t.need_root
    def test_a_signature_of_the_sites_key_may_be_wanted(self):
        key, keys = self.site_key("site")
        sif = self.mine(self.tiny, "signed.sif")
        t.run([t.SLIPWAY, "sign", "--key", f"{key}.pem", sif], check=0)
        self.cluster("image", "add", str(sif), "signed/tiny", check=0)
        signers = self.show("signed/tiny")["signers"]
        self.assertEqual(len(signers), 1, "who of the site signed it is known")
        more = self.new_key("more")
        keys.write_text(pathlib.Path(f"{more}.pub").read_text() + pathlib.Path(f"{key}.pub").read_text())
        t.run([t.SLIPWAY, "sign", "--key", f"{more}.pem", sif], check=0)
        self.cluster("image", "add", "--again", str(sif), "signed/tiny", check=0)
        self.assertEqual(len(self.show("signed/tiny")["signers"]), 2)
        rule = json.loads(self.admin("allow", "--json", "*", "--signed-by", signers[0]["key"], check=0).stdout)
        try:
            again = self.admin("allow", "*", "--signed-by", signers[0]["key"], check=0).stdout
            self.assertIn(f"allow * all, signed by {signers[0]['key']}", again)
            self.assertEqual(again.split()[1].rstrip(":"), str(rule["id"]), "who says it again makes no second rule")
            self.cluster("launch", "-n1", "--image", "signed/tiny", "--", "true", check=0)
            self.refused("launch", "-n1", "--image", "mpi", "--", "true",
                         names=["image mpi", f"rule {rule['id']}", signers[0]["key"], "slipway sign"], code=125)
        finally:
            self.admin("allow", "--remove", str(rule["id"]), check=0)

    def test_garbage_is_shown_and_taken_only_when_asked(self):
        digest = self.new_image("garbage", "gc/x")["digest"]
        self.cluster("image", "untag", "gc/x", check=0)
        # It is kept for some minutes for whoever may be about to use it: a restart forgets that.
        self.cluster.kill("slipwayd")
        found = self.cluster.json("image", "gc", "--unused", "0s")
        self.assertFalse(found["removed"])
        self.assertIn(digest, [i["digest"] for i in found["images"]])
        self.assertEqual(self.show(digest)["digest"], digest, "nothing was done")
        self.assertNotIn(digest, [i["digest"] for i in self.cluster.json("image", "gc")["images"]], "it is young")
        self.cluster("image", "gc", "--run", "--unused", "0s", check=0)
        self.refused("image", "show", digest, names=["is not here"])
        for name in ("tiny", "mpi"):
            self.show(name)

    def test_what_a_queued_job_needs_is_not_collected(self):
        image = self.new_image("needed", "need/x")
        job = self.cluster.submit("--hold", "--image", "need/x", "--wrap", "true")
        self.cluster("image", "untag", "need/x", check=0)
        self.cluster.kill("slipwayd")
        self.cluster("image", "gc", "--run", "--unused", "0s", check=0)
        self.assertEqual(self.show(image["digest"])["digest"], image["digest"])
        self.cluster("cancel", job, check=0)
        self.cluster.wait_end(job)
        self.cluster("image", "gc", "--run", "--unused", "0s", check=0)
        self.refused("image", "show", image["digest"], names=["is not here"])

    @t.need_root
    def test_verify_proves_the_store_whole_and_finds_damage(self):
        self.assertTrue(json.loads(self.admin("verify", "--all", "--json", check=0).stdout)["whole"])
        self.refused("image", "verify", "--all", names=["is for administrators"])
        image = self.new_image("to be damaged", "dam/x")
        self.cluster("image", "verify", "dam/x", check=0)
        blob = next(self.cluster.state.glob(f"**/state/images/sha256-{image['digest'][7:]}"))
        whole = self.home / "whole.sqsh"
        shutil.copy(blob, whole)
        os.chown(whole, self.account.entry.pw_uid, self.account.entry.pw_gid)
        os.chmod(blob, 0o644)
        with open(blob, "r+b") as file:
            file.seek(100)
            file.write(b"damage")
        done = self.admin("verify", "--all")
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"damaged: {image['digest']} (dam/x:latest)", done.stdout)
        self.assertIn("slipway image add FILE dam/x:latest", done.stdout)
        self.refused("submit", "--image", "dam/x", "--wrap", "true", names=["is damaged on the controller"])
        again = self.cluster.json("image", "add", str(whole), "dam/x")
        self.assertEqual(again["digest"], image["digest"])
        self.cluster("image", "verify", "dam/x", check=0)

    @t.need_root
    def test_quotas_are_held_and_told(self):
        user = self.account.entry.pw_name
        usage = {s["subject"]: s for s in self.cluster.json("image", "du")["subjects"]}
        held = usage[f"user:{user}"]["bytes"]
        self.assertGreater(held, 0)
        self.refused("image", "du", "--limit", f"user:{user}=1G", names=["is for administrators"])
        self.admin("du", "--limit", f"user:{user}={held + 100}", check=0)
        try:
            self.refused("image", "add", str(self.tree("more")), "quota/x", names=["your images would take up", "slipway image du"])
            self.cluster("image", "tag", "tiny", "quota/y", check=0)
            self.cluster("image", "untag", "quota/y", check=0)
        finally:
            self.admin("du", "--limit", f"user:{user}=0", check=0)
        self.admin("du", "--limit", "project:small=1", check=0)
        try:
            self.refused("image", "tag", "tiny", "small/x", names=["the images of project:small would take up"])
        finally:
            self.admin("du", "--limit", "project:small=0", check=0)
        self.refused("image", "du", "--limit", "x", names=["user:NAME=200G"], code=2)

    def test_an_mpi_that_cannot_be_started_is_refused(self):
        root = self.tree("an old MPI")
        (root / "lib").mkdir()
        (root / "lib/libmpi.so.12").write_bytes(b"\x7fELF\0Open MPI v1.10.7, package: x\0libopen-pal.so.13\0")
        self.cluster("image", "add", str(root), "old/mpi", check=0)
        shown = self.cluster("image", "show", "old/mpi", check=0).stdout
        self.assertRegex(shown, r"(?m)^mpi +Open MPI 1\.10\.7 .*neither PMIx nor PMI")
        self.assertIn("--with-pmix", shown)
        self.refused("launch", "-n4", "--image", "old/mpi", "--", "./x", code=125,
                     names=["image old/mpi: its Open MPI 1.10.7", "--with-pmix", "--mpi=none"])
        job = self.cluster.submit("--hold", "-n4", "--image", "old/mpi", "--wrap", "true")
        self.cluster("cancel", job, check=0)  # a script may do anything; what it launches is judged


if __name__ == "__main__":
    unittest.main(verbosity=2)
