#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Debian's docker-registry on loopback, with TLS and a password, filled by skopeo; pulled from and pushed to by us."""
import base64
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
import unittest

import interop
from oci_layout import Layout, layer

USER, PASSWORD = "tester", "geheim: it's"
NEEDED = ("docker-registry", "skopeo", "htpasswd", "openssl")


class Registry:
    """One for the whole module."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="slipway-registry-")
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.host = f"localhost:{self.port}"
        self.ca = os.path.join(self.folder, "server.crt")
        run = lambda *command: subprocess.run(command, check=True, capture_output=True, cwd=self.folder)
        run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "2", "-addext",
            "subjectAltName=DNS:localhost", "-keyout", "server.key", "-out", "server.crt")
        run("htpasswd", "-Bbc", "htpasswd", USER, PASSWORD)
        config = {"version": 0.1, "log": {"level": "error"},
                  "storage": {"filesystem": {"rootdirectory": self.folder + "/data"}, "delete": {"enabled": True}},
                  "http": {"addr": f"127.0.0.1:{self.port}",
                           "tls": {"certificate": self.ca, "key": self.folder + "/server.key"}},
                  "auth": {"htpasswd": {"realm": "test", "path": self.folder + "/htpasswd"}}}
        with open(self.folder + "/config.yml", "w", encoding="utf-8") as f:
            json.dump(config, f)  # JSON is YAML
        self.process = subprocess.Popen(["docker-registry", "serve", self.folder + "/config.yml"],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with socket.socket() as s:
                if s.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        raise RuntimeError("docker-registry did not come up")

    def fill(self, source, name):
        subprocess.run(["skopeo", "--insecure-policy", "copy", "-q", "--all", "--dest-tls-verify=false", "--dest-creds",
                        f"{USER}:{PASSWORD}", source, f"docker://{self.host}/{name}"], check=True, capture_output=True)

    def close(self):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder)


@unittest.skipUnless(all(map(shutil.which, NEEDED)), f"not all of {', '.join(NEEDED)} are installed")
class RegistryTest(interop.Interop):
    registry = None

    @classmethod
    def setUpClass(cls):
        cls.registry = Registry()

    @classmethod
    def tearDownClass(cls):
        cls.registry.close()

    def setUp(self):
        super().setUp()
        self.env["SLIPWAY_CA_FILE"] = self.registry.ca
        self.login()

    def login(self, password=PASSWORD):
        auth = base64.b64encode(f"{USER}:{password}".encode()).decode()
        self.write(".docker/config.json", json.dumps({"auths": {self.registry.host: {"auth": auth}}}), 0o600)

    def url(self, name, scheme="docker"):
        return f"{scheme}://{self.registry.host}/{name}"

    def runnable(self, name, config=None, extra=()):
        """An image that runs a shell, of three layers, in the registry."""
        root = self.small_root()
        layout = Layout(self.path("layout-" + name.replace("/", "-").replace(":", "-")))
        layers = [layer((".", ("tree", root))), layer(("gone.txt", b"old"), ("kept.txt", b"lower")),
                  layer((".wh.gone.txt", b""), ("kept.txt", b"upper"), *extra)]
        layout.index([layout.manifest(layers, config=config)], "v1")
        self.registry.fill(f"oci:{layout.path}:v1", name)
        return layout

    def dump(self, sif, path):
        listed = json.loads(self.slipway("sif", "list", "--json", sif)[0])["objects"]
        offset = next(o["offset"] for o in listed if o.get("part_type") == "*System")
        return subprocess.run(["unsquashfs", "-q", "-o", str(offset), "-cat", self.path(sif), path], capture_output=True,
                              check=True).stdout

    def test_a_pulled_image_runs_with_its_environment_and_command(self):
        self.runnable("hpc/run:1", {"Env": ["PATH=/bin:/usr/bin", "GREETING=say \"hi\" $HOME `x`"],
                                    "Entrypoint": ["/bin/cat"], "Cmd": ["/kept.txt"],
                                    "Labels": {"org.example.who": "tester"}})
        self.slipway("pull", "run.sif", self.url("hpc/run:1"))
        self.assertEqual("upper", self.slipway("run", "run.sif")[0])
        self.assertEqual("hello from the image\n", self.slipway("run", "run.sif", "/hello.txt")[0])
        out, _ = self.slipway("exec", "run.sif", "/bin/sh", "-c", "echo \"$GREETING\"; test -e /gone.txt || echo gone")
        self.assertEqual("say \"hi\" $HOME `x`\ngone\n", out)
        self.assertEqual("tester", json.loads(self.slipway("inspect", "--json", "run.sif")[0])["labels"]["org.example.who"])
        if interop.apptainer_command():
            self.assertIn("upper", self.apptainer("run", self.path("run.sif"))[0])
            self.assertIn("say \"hi\"", self.apptainer("exec", self.path("run.sif"), "/bin/sh", "-c", "echo $GREETING")[0])
            self.assertIn("tester", self.apptainer("inspect", self.path("run.sif"))[0])

    def test_a_login_is_tried_kept_used_and_forgotten(self):
        self.runnable("hpc/login:1")
        kept = self.path(".docker/config.json")
        self.write(".docker/config.json", json.dumps({"auths": {"else.example": {"auth": "eDp5"}}, "detachKeys": "ctrl-q"}), 0o644)
        login = ("registry", "login", "--username", USER, "--password-stdin", f"docker://{self.registry.host}")
        _, err = self.slipway(*login, input=b"wrong\n", code=1)
        self.assertIn("does not take this user and password", err)
        self.slipway("pull", "no.sif", self.url("hpc/login:1"), code=1)
        _, err = self.slipway(*login, input=PASSWORD.encode() + b"\n")
        self.assertIn(kept, err)
        self.assertEqual(0o600, os.stat(kept).st_mode & 0o777)
        with open(kept, encoding="utf-8") as f:
            self.assertEqual("ctrl-q", json.load(f)["detachKeys"])
        self.assertEqual(f"else.example (x)\n{self.registry.host} ({USER})\n", self.slipway("registry", "ls")[0])
        self.slipway("pull", "--dir", self.path(""), "--name", "yes.sif", self.url("hpc/login:1"))
        self.slipway("registry", "logout", self.registry.host)
        self.assertIn("no password for", self.slipway("registry", "logout", self.registry.host, code=1)[1])
        self.assertEqual("else.example (x)\n", self.slipway("registry", "ls")[0])
        self.env.update(APPTAINER_DOCKER_USERNAME=USER, APPTAINER_DOCKER_PASSWORD=PASSWORD)
        self.slipway("pull", "--disable-cache", "variables.sif", self.url("hpc/login:1"))
        _, err = self.slipway("registry", "login", "no/host", code=1)
        self.assertIn("HOST[:PORT]", err)

    def test_exec_brings_the_image_first_and_many_may_at_once(self):
        self.runnable("hpc/exec:1")
        command = [interop.SLIPWAY, "exec", self.url("hpc/exec:1"), "/bin/cat", "/kept.txt"]
        running = [subprocess.Popen(command, env=self.env, cwd=self.top, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                   for _ in range(6)]
        for process in running:
            out, err = process.communicate(timeout=200)
            self.assertEqual((0, b"upper"), (process.returncode, out), err)
        self.assertEqual(1, len(os.listdir(self.path("cache/images"))))
        self.assertEqual([], [b for b in os.listdir(self.path("cache/blobs/sha256")) if b.endswith(".part")])
        # A tag that moves is seen.
        layout = Layout(self.path("moved"))
        layout.index([layout.manifest([layer((".", ("tree", self.path("root"))), ("kept.txt", b"moved"))])], "v1")
        self.registry.fill(f"oci:{layout.path}:v1", "hpc/exec:1")
        self.assertEqual("moved", self.slipway("exec", self.url("hpc/exec:1"), "/bin/cat", "/kept.txt")[0])
        _, err = self.slipway("exec", self.url("hpc/nothing:1"), "/bin/true", code=125)
        self.assertIn("there is no such image", err)
        self.assertEqual("moved", self.slipway("exec", f"oci:{layout.path}:v1", "/bin/cat", "/kept.txt")[0])

    def test_equal_pulls_are_equal_bytes(self):
        self.runnable("same:1")
        self.env["SOURCE_DATE_EPOCH"] = "1700000000"
        digests = {json.loads(self.slipway("pull", "--json", "--disable-cache", f"{i}.sif", self.url("same:1"))[0])["digest"]
                   for i in range(2)}
        self.assertEqual(1, len(digests))

    def test_the_password_matters(self):
        self.runnable("secret:1")
        self.login("wrong")
        _, err = self.slipway("pull", "a.sif", self.url("secret:1"), code=1)
        self.assertIn("401", err)
        self.assertNotIn("wrong", err)
        os.remove(self.path(".docker/config.json"))
        _, err = self.slipway("pull", "a.sif", self.url("secret:1"), code=1)
        self.assertIn("password", err)
        helper = self.write("bin/docker-credential-test", f"#!/bin/sh\nread host\n[ \"$host\" = {self.registry.host} ] && "
                            f"echo '{json.dumps({'Username': USER, 'Secret': PASSWORD})}' | sed \"s/it's/it's/\"\n", 0o755)
        self.write("answer.json", json.dumps({"Username": USER, "Secret": PASSWORD}))
        self.write("bin/docker-credential-test", f"#!/bin/sh\ncat {self.path('answer.json')}\n", 0o755)
        self.write(".docker/config.json", json.dumps({"credHelpers": {self.registry.host: "test"}}))
        self.env["PATH"] = os.path.dirname(helper) + ":" + self.env["PATH"]
        self.slipway("pull", "a.sif", self.url("secret:1"))
        self.assertEqual(["a.sif"], [f for f in os.listdir(self.top) if f.startswith("a.sif")])

    def test_an_unknown_certificate_is_refused(self):
        self.runnable("tls:1")
        del self.env["SLIPWAY_CA_FILE"]
        _, err = self.slipway("pull", "a.sif", self.url("tls:1"), code=1)
        self.assertRegex(err, "(?i)certificate")

    def test_names_that_are_not_there_say_so(self):
        self.runnable("there:1")
        for name in ("there:2", "nowhere:1", "there@sha256:" + "0" * 64):
            _, err = self.slipway("pull", "a.sif", self.url(name), code=1)
            self.assertEqual(1, len(err.splitlines()), err)
            self.assertIn("there is no such image", err)
        _, err = self.slipway("pull", "a.sif", "docker://UPPER/case", code=1)
        self.assertIn("lower-case", err)

    def test_a_mirror_is_asked_first_and_done_without_when_it_is_away(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            nobody = f"localhost:{s.getsockname()[1]}"
        # What people write is a name that does not exist: only the mirror, this registry, can give it.
        self.env["CONTAINERS_REGISTRIES_CONF"] = self.write("registries.conf", f"""
[[registry]]
location = "{nobody}"
[[registry.mirror]]
location = "{nobody}/away"
[[registry.mirror]]
location = "{self.registry.host}/hpc"
""")
        self.runnable("hpc/mirrored:1")
        self.slipway("pull", "mirrored.sif", f"docker://{nobody}/mirrored:1")
        self.slipway("pull", "plain.sif", self.url("hpc/mirrored:1"))
        self.assertEqual(self.slipway("exec", "plain.sif", "/bin/cat", "/kept.txt")[0],
                         self.slipway("exec", "mirrored.sif", "/bin/cat", "/kept.txt")[0])

    def test_of_several_architectures_the_right_one_comes(self):
        layout = Layout(self.path("multi"))
        layout.index([layout.manifest([layer(("arch", arch.encode()))], arch) for arch in ("amd64", "arm64", "riscv64")], "v1")
        self.registry.fill(f"oci:{layout.path}:v1", "multi:1")
        for arch in ("amd64", "arm64"):
            self.slipway("pull", "--arch", arch, f"{arch}.sif", self.url("multi:1"))
            self.assertEqual(arch.encode(), self.dump(f"{arch}.sif", "arch"))
            self.assertEqual(arch, json.loads(self.slipway("sif", "header", "--json", f"{arch}.sif")[0])["header"]["arch"])
        _, err = self.slipway("pull", "--arch", "s390x", "x.sif", self.url("multi:1"), code=1)
        self.assertIn("linux/riscv64", err)

    def test_every_local_form_gives_the_same_files(self):
        layout = self.runnable("forms:1", extra=(("hard.txt", ("hard", "kept.txt")),))
        source = f"oci:{layout.path}:v1"
        skopeo = ["skopeo", "--insecure-policy", "copy", "-q", source]
        self.run_command([*skopeo, f"oci-archive:{self.path('a.tar')}:v1"])
        self.run_command([*skopeo, f"docker-archive:{self.path('d.tar')}:forms:v1"])
        self.run_command(["gzip", "-k", "d.tar"])
        for i, form in enumerate((source, f"oci:{layout.path}", "oci-archive:a.tar", "oci-archive:a.tar:v1",
                                  "docker-archive:d.tar", "docker-archive:d.tar:forms:v1", "docker-archive:d.tar.gz",
                                  self.url("forms:1"))):
            self.slipway("pull", f"{i}.sif", form)
            self.assertEqual(b"upper", self.dump(f"{i}.sif", "hard.txt"))
            self.assertEqual("hello from the image\n", self.slipway("exec", f"{i}.sif", "/bin/cat", "/hello.txt")[0])
        _, err = self.slipway("pull", "x.sif", "oci-archive:a.tar:nope", code=1)
        self.assertIn("v1", err)

    def test_a_changed_blob_in_a_folder_is_seen(self):
        layout = self.runnable("changed:1")
        blobs = os.path.join(layout.path, "blobs", "sha256")
        biggest = max((os.path.join(blobs, b) for b in os.listdir(blobs)), key=os.path.getsize)
        with open(biggest, "r+b") as f:
            f.seek(-1, os.SEEK_END)
            last = f.read(1)
            f.seek(-1, os.SEEK_END)
            f.write(bytes([last[0] ^ 1]))
        _, err = self.slipway("pull", "x.sif", f"oci:{layout.path}:v1", code=1)
        self.assertFalse(os.path.exists(self.path("x.sif")))

    def test_a_sif_goes_to_the_registry_and_comes_back(self):
        self.small_root()
        self.slipway("build", "local.sif", "root")
        self.slipway("push", "local.sif", self.url("sifs/one:1", "oras"))
        self.slipway("pull", "back.sif", self.url("sifs/one:1", "oras"))
        with open(self.path("local.sif"), "rb") as a, open(self.path("back.sif"), "rb") as b:
            self.assertEqual(a.read(), b.read())
        _, err = self.slipway("pull", "x.sif", self.url("sifs/one:1"), code=1)
        self.assertIn("oras://", err)
        # As layers, for everybody else.
        self.slipway("push", "local.sif", self.url("sifs/layers:1"))
        self.run_command(["skopeo", "--insecure-policy", "copy", "-q", "--src-tls-verify=false", "--src-creds",
                          f"{USER}:{PASSWORD}", self.url("sifs/layers:1"), f"oci:{self.path('theirs')}:v1"])
        self.slipway("pull", "layers.sif", self.url("sifs/layers:1"))
        self.assertEqual("hello from the image\n", self.slipway("exec", "layers.sif", "/bin/cat", "/hello.txt")[0])

    @unittest.skipUnless(os.geteuid() == 0, "recipes need root, or subordinate ids")
    def test_a_recipe_builds_on_registry_images_in_stages(self):
        self.runnable("hpc/base:1", {"Env": ["FROM_OCI=yes"]})
        self.write("recipe.def", f"""Bootstrap: docker
From: {self.registry.host}/hpc/base:{{{{ TAG }}}}
Stage: build
%post
  echo built > /out.txt

Bootstrap: docker
From: {self.registry.host}/hpc/base:{{{{ TAG }}}}
%files from build
  /out.txt /etc/out.txt
%arguments
  TAG=none
%environment
  export FROM_RECIPE=too
%apprun greet
  echo "greetings $@"
%test
  cat /etc/out.txt
""")
        self.slipway("build", "--build-arg", "TAG=1", "made.sif", "recipe.def")
        out, _ = self.slipway("exec", "made.sif", "/bin/sh", "-c", "cat /etc/out.txt; echo $FROM_OCI $FROM_RECIPE")
        self.assertEqual("built\nyes too\n", out)
        self.assertEqual("greetings you\n", self.slipway("run", "--app", "greet", "made.sif", "you")[0])
        if interop.apptainer_command():
            self.assertIn("greetings you", self.apptainer("run", "--app", "greet", self.path("made.sif"), "you")[0])
        _, err = self.slipway("build", "no.sif", "recipe.def", code=1)
        self.assertIn("recipe.def:1", err)
        self.assertFalse([f for f in os.listdir(self.top) if f.startswith("no.sif")])
        self.slipway("build", "--sandbox", "sandbox", self.url("hpc/base:1"))
        self.assertEqual("upper", self.slipway("exec", "sandbox", "/bin/cat", "/kept.txt")[0])

    @interop.needs_apptainer()
    def test_apptainer_and_we_exchange_sifs_through_the_registry(self):
        self.small_root()
        self.slipway("build", "local.sif", "root")
        self.slipway("push", "local.sif", self.url("sifs/ours:1", "oras"))
        self.env["SSL_CERT_FILE"] = self.registry.ca
        self.env["APPTAINER_DOCKER_USERNAME"], self.env["APPTAINER_DOCKER_PASSWORD"] = USER, PASSWORD
        self.apptainer("pull", self.path("ours.sif"), self.url("sifs/ours:1", "oras"))
        self.apptainer("push", self.path("ours.sif"), self.url("sifs/theirs:1", "oras"))
        self.slipway("pull", "theirs.sif", self.url("sifs/theirs:1", "oras"))
        self.assertEqual("hello from the image\n", self.slipway("exec", "theirs.sif", "/bin/cat", "/hello.txt")[0])


if __name__ == "__main__":
    interop.main()
