#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Signatures, exchanged with Apptainer: it verifies ours, we verify its; by PGP and by PEM keys."""
import json
import os
import subprocess

import interop

NEWPAIR = ["key", "newpair", "--name", "Tester", "--email", "tester@example.org", "--no-passphrase"]


class Trust(interop.Interop):
    def setUp(self):
        super().setUp()
        self.addCleanup(subprocess.run, ["gpgconf", "--homedir", self.path("keys"), "--kill", "all"], capture_output=True)

    def image(self, name):
        self.write("tree/hello.txt", "hello\n")
        self.slipway("build", name, "tree")
        return self.path(name)

    def pem(self, name, *kind):
        secret, public = self.path(name + ".pem"), self.path(name + ".pub")
        self.run_command(["openssl", "genpkey", *kind, "-out", secret])
        self.run_command(["openssl", "pkey", "-in", secret, "-pubout", "-out", public])
        return secret, public

    @interop.needs_apptainer()
    @interop.needs("gpg")
    def test_it_verifies_our_pgp_signature(self):
        image = self.image("ours.sif")
        self.slipway(*NEWPAIR)
        self.slipway("key", "export", "tester@example.org", "public.asc")
        self.slipway("sign", image)
        self.apptainer("key", "import", self.path("public.asc"))
        out, err = self.apptainer("verify", "--local", image)
        self.assertIn("Tester", out + err)
        with open(image, "r+b") as f:
            f.seek(32768)
            f.write(b"x")
        self.apptainer("verify", "--local", image, code=255)
        self.slipway("verify", image, code=1)

    @interop.needs_apptainer()
    @interop.needs("openssl")
    def test_it_verifies_our_pem_signatures(self):
        kinds = {"rsa": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
                 "ec": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"], "ed": ["-algorithm", "ED25519"]}
        for name, kind in kinds.items():
            secret, public = self.pem(name, *kind)
            image = self.image(name + ".sif")
            self.slipway("sign", "--key", secret, image)
            self.slipway("verify", "--key", public, image)
            self.apptainer("verify", "--key", public, image)

    @interop.needs_apptainer()
    @interop.needs("gpg")
    def test_we_verify_its_pgp_signature(self):
        image = self.image("theirs.sif")
        self.slipway(*NEWPAIR)
        self.slipway("key", "export", "--secret", "tester@example.org", "secret.asc")
        self.apptainer("key", "import", self.path("secret.asc"), input=b"\n")
        self.apptainer("sign", image)
        report = json.loads(self.slipway("verify", "--all", "--json", image)[0])
        self.assertTrue(report["verified"])
        self.assertEqual("pgp", report["signatures"][0]["kind"])

    @interop.needs_apptainer()
    @interop.needs("openssl")
    def test_we_verify_its_pem_signature(self):
        secret, public = self.pem("ec", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
        image = self.image("theirs.sif")
        self.apptainer("sign", "--key", secret, image)
        self.slipway("verify", "--all", "--key", public, image)

    @interop.needs("openssl")
    def test_a_certificate_counts_only_with_its_chain(self):
        self.run_command(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=Test CA", "-days", "2",
                          "-keyout", "ca.pem", "-out", "ca.crt"])
        self.run_command(["openssl", "req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=Signer", "-keyout", "leaf.pem",
                          "-out", "leaf.csr"])
        for usage, name in (("codeSigning", "leaf.crt"), ("serverAuth", "web.crt")):
            self.write("ext", f"extendedKeyUsage={usage}\n")
            self.run_command(["openssl", "x509", "-req", "-in", "leaf.csr", "-CA", "ca.crt", "-CAkey", "ca.pem",
                              "-CAcreateserial", "-days", "2", "-extfile", "ext", "-out", name])
        image = self.image("a.sif")
        self.slipway("sign", "--key", "leaf.pem", image)
        out, _ = self.slipway("verify", "--certificate", "leaf.crt", "--certificate-roots", "ca.crt", image)
        self.assertIn("by Signer", out)
        self.slipway("verify", "--certificate", "leaf.crt", image, code=1)
        self.slipway("verify", "--certificate", "web.crt", "--certificate-roots", "ca.crt", image, code=1)
        if interop.apptainer_command():
            self.apptainer("verify", "--certificate", self.path("leaf.crt"), "--certificate-roots", self.path("ca.crt"), image)


if __name__ == "__main__":
    interop.main()
