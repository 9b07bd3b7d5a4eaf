#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""No port speaks plain text, who you are comes from the channel, and secrets are files of their owner alone."""
import base64
import os
import pathlib
import re
import socket
import ssl
import stat
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import hostile as h
import slipway_testing as t

# Runs inside a node's network namespace: what does ADDRESS PORT answer to MODE?
TALK = r"""
import socket, ssl, sys
address, port, mode, ca, name = sys.argv[1:6]
s = socket.create_connection((address, int(port)), 10)
s.settimeout(5)
try:
    if mode == "tls":
        context = ssl.create_default_context(cafile=ca)
        context.set_alpn_protocols(["h2"])
        s = context.wrap_socket(s, server_hostname=name)
        s.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0")
    elif mode == "http2":
        s.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0")
    elif mode == "http1":
        s.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    else:
        s.sendall(bytes(range(256)) * 16)
    said = s.recv(4096)
except (OSError, ssl.SSLError) as error:
    print("error", type(error).__name__, error)
    sys.exit()
print("said", said.hex())
"""


def listening(pid):
    """(address, port) of each TCP socket that listens in a process's network namespace."""
    found = []
    for name, width in (("tcp", 8), ("tcp6", 32)):
        for line in pathlib.Path(f"/proc/{pid}/net/{name}").read_text().splitlines()[1:]:
            local, state = line.split()[1], line.split()[3]
            if state == "0A":
                address, port = local.split(":")
                raw = b"".join(struct.pack("<I", int(address[i:i + 8], 16)) for i in range(0, width, 8))
                raw = b"".join(raw[i:i + 4] for i in range(0, len(raw), 4))
                found.append((socket.inet_ntop(socket.AF_INET if width == 8 else socket.AF_INET6, raw), int(port, 16)))
    return found


@t.need_root
class Channels(t.ClusterTest):
    NODES = 1
    IMAGES = ("tiny",)

    def talk(self, pid, address, port, mode, name="controller.slipway"):
        address = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)
        ca = self.cluster.state / "cluster/ca.pem"
        return t.run(["nsenter", "-t", pid, "-n", sys.executable, "-c", TALK, address, port, mode, ca, name], check=0).stdout

    def context(self, **values):
        folder = tempfile.mkdtemp(prefix="slipway-security-")
        self.addCleanup(t.shutil.rmtree, folder)
        os.chmod(folder, 0o755)
        path = pathlib.Path(folder) / "context.toml"
        path.write_text("".join(f'{key} = "{value}"\n' for key, value in values.items()))
        return path

    def refused(self, done, *words):
        self.assertEqual(done.returncode, 1, done.stderr)
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        self.assertEqual(len(lines), 1, done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)

    def test_no_tcp_port_of_the_cluster_speaks_plain_text(self):
        asked = 0
        for daemon, name in (("slipwayd", "controller.slipway"), ("n1-agent", "n1.node.slipway")):
            pid = self.cluster.pid(daemon)
            ports = listening(pid)
            self.assertTrue(ports, daemon)
            for address, port in ports:
                asked += 1
                for mode in ("http2", "http1", "garbage"):
                    said = self.talk(pid, address, port, mode)
                    kind, _, what = said.strip().partition(" ")
                    if kind == "said" and what:  # nothing but a TLS alert or a TLS error is an answer
                        self.assertTrue(what.startswith("15"), f"{daemon} {port} {mode}: {said}")
                if daemon == "slipwayd":  # the same port, spoken to properly, answers: the silence above was no dead port
                    self.assertTrue(self.talk(pid, address, port, "tls", name).startswith("said 00"), (daemon, port))
        self.assertGreaterEqual(asked, 2)

    def test_an_agent_hears_only_who_has_a_certificate_of_the_cluster(self):
        pid = self.cluster.pid("n1-agent")
        for address, port in listening(pid):
            said = self.talk(pid, address, port, "tls", "n1.node.slipway")
            self.assertTrue(said.startswith("error") or said.strip() == "said", said)

    def test_nobody_listens_on_the_hosts_own_addresses(self):
        daemons = [pid.read_text().strip() for pid in (self.cluster.state / "run").glob("*.pid")]
        host = os.readlink("/proc/self/ns/net")
        with_ports = [pid for pid in daemons if os.readlink(f"/proc/{pid}/ns/net") == host]
        inodes = set()
        for pid in with_ports:
            for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir():
                inodes.update(re.findall(r"socket:\[(\d+)\]", os.readlink(fd)))
        for line in pathlib.Path("/proc/self/net/tcp").read_text().splitlines()[1:]:
            self.assertNotIn(line.split()[9], inodes, line)

    def token(self, uid, lifetime_ms, key=None, issuer="controller"):
        now = int(time.time() * 1000)
        body = (h.string((self.cluster.state / "cluster/cluster-id").read_text().strip()) + struct.pack("<Iqq", uid, now - 7200_000, now + lifetime_ms) +
                h.string(os.urandom(16)) + h.string(issuer))
        key = key or (self.cluster.state / "cluster/signing.key").read_bytes()
        text = [base64.urlsafe_b64encode(raw).rstrip(b"=") for raw in (body, h.ed25519_sign(key, b"slipway user token 1\0" + body))]
        return b"v1." + b".".join(text)

    def with_token(self, token, *argv):
        """Runs slipway with a token socket that hands out `token`."""
        folder = tempfile.mkdtemp(prefix="slipway-security-")
        self.addCleanup(t.shutil.rmtree, folder)
        os.chmod(folder, 0o755)
        path = os.path.join(folder, "token.sock")
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
            server.bind(path)
            os.chmod(path, 0o666)
            server.listen(8)
            server.settimeout(0.2)
            stop = threading.Event()

            def serve():
                while not stop.is_set():
                    try:
                        connection, _ = server.accept()
                    except TimeoutError:
                        continue
                    with connection:
                        connection.recv(1000)
                        connection.send(b"ok " + token)
            thread = threading.Thread(target=serve)
            thread.start()
            try:
                context = self.context(name="t", controller=f"unix:{self.cluster.state}/controller/run/slipwayd.sock", token_socket=path)
                return self.cluster(*argv, "--context", context)
            finally:
                stop.set()
                thread.join()

    def test_a_token_of_the_controller_is_taken(self):
        self.assertEqual(self.with_token(self.token(self.account.entry.pw_uid, 60_000), "jobs").returncode, 0)

    def test_an_expired_token_is_refused(self):
        self.refused(self.with_token(self.token(self.account.entry.pw_uid, -60_000), "jobs"), "expired")

    def test_a_forged_token_is_refused(self):
        good = self.token(self.account.entry.pw_uid, 60_000)
        forged = good[:-8] + (b"AAAAAAAA" if good[-8:] != b"AAAAAAAA" else b"BBBBBBBB")
        self.refused(self.with_token(forged, "jobs"), "token")
        version, body, signature = good.split(b".")
        raw = bytearray(base64.urlsafe_b64decode(body + b"=" * (-len(body) % 4)))
        raw[4 + 16] ^= 1  # the uid
        self.refused(self.with_token(b".".join((version, base64.urlsafe_b64encode(bytes(raw)).rstrip(b"="), signature)), "jobs"), "token")

    def test_a_launch_credentials_signature_is_no_token(self):
        good = self.token(self.account.entry.pw_uid, 60_000)
        body = base64.urlsafe_b64decode(good.split(b".")[1] + b"==")
        key = (self.cluster.state / "cluster/signing.key").read_bytes()
        signature = base64.urlsafe_b64encode(h.ed25519_sign(key, b"slipway launch credential 1\0" + body)).rstrip(b"=")
        self.refused(self.with_token(b"v1." + good.split(b".")[1] + b"." + signature, "jobs"), "token")

    def test_the_token_socket_names_the_true_uid(self):
        s = h.connect(self.cluster.state / "controller/run/token.sock", self.account.entry.pw_uid, self.account.entry.pw_gid)
        self.addCleanup(s.close)
        s.send(b"token 1")
        answer = s.recv(4096)
        self.assertTrue(answer.startswith(b"ok v1."), answer)
        body = answer[3:].split(b".")[1]
        raw = base64.urlsafe_b64decode(body + b"=" * (-len(body) % 4))
        (size,) = struct.unpack_from("<I", raw)
        self.assertEqual(struct.unpack_from("<I", raw, 4 + size)[0], self.account.entry.pw_uid)
        overflow = h.connect(self.cluster.state / "controller/run/token.sock", 65534, 65534)
        self.addCleanup(overflow.close)
        try:
            overflow.send(b"token 1")
            self.assertFalse(overflow.recv(4096).startswith(b"ok"))
        except (ConnectionResetError, BrokenPipeError):
            pass

    def test_a_wrong_ca_is_one_clear_line(self):
        other = tempfile.mkdtemp(prefix="slipway-security-")
        self.addCleanup(t.shutil.rmtree, other)
        os.chmod(other, 0o755)
        t.run([t.SLIPWAY, "init", other + "/pki"], check=0)
        os.chmod(other + "/pki", 0o755)
        tls = dict(name="t", controller="10.77.0.254:6821", token_socket=self.cluster.state / "controller/run/token.sock")
        enter = ["nsenter", "-t", self.cluster.pid("n1-agent"), "-n", "setpriv", "--reuid", self.account.entry.pw_uid, "--clear-groups"]
        env = {"HOME": self.account.entry.pw_dir}
        good = self.context(ca=self.cluster.state / "cluster/ca.pem", **tls)
        t.run([*enter, t.SLIPWAY, "jobs", "--context", good], env=env, check=0)
        done = t.run([*enter, t.SLIPWAY, "jobs", "--context", self.context(ca=other + "/pki/ca.pem", **tls)], env=env, timeout=60)
        self.refused(done, "certificate")
        done = t.run([*enter, t.SLIPWAY, "jobs", "--context", self.context(ca=other + "/none.pem", **tls)], env=env, timeout=60)
        self.refused(done, "none.pem")

    def test_secrets_and_state_belong_to_their_owners_alone(self):
        state = self.cluster.state
        for path in state.rglob("*"):
            info = path.lstat()
            if stat.S_ISLNK(info.st_mode):
                continue
            mode, name = stat.S_IMODE(info.st_mode), str(path.relative_to(state))
            if stat.S_ISSOCK(info.st_mode):
                # exec.sock is the broker's for users: whoever connects is judged by SO_PEERCRED and starter.conf.
                # steps.sock passes on calls that carry their user's token, and decides nothing.
                public = path.name in ("slipwayd.sock", "token.sock", "sock", "agent.sock", "exec.sock", "steps.sock")
                self.assertTrue(public or mode == 0o600, f"{name} {mode:o}")
                continue
            self.assertEqual(mode & 0o022, 0, f"{name} {mode:o} can be written by others")
            if path.suffix == ".key" or path.name in ("marks", "lock"):
                self.assertEqual(mode, 0o600, name)
        for name in ("controller/state", "nodes/n1/broker/images"):
            self.assertEqual(stat.S_IMODE((state / name).stat().st_mode), 0o700, name)
        self.assertEqual((state / "cluster/ca.key").stat().st_uid, 0)
        self.assertEqual((state / "cluster/controller.pub").stat().st_uid, 0)
        self.assertEqual((state / "nodes/n1/starter.conf").stat().st_uid, 0)


if __name__ == "__main__":
    unittest.main()
