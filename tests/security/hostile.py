# SPDX-License-Identifier: Apache-2.0
"""What a hostile process would bring along: the broker's frames, the controller's signature, other people's ids.

Encodings are written out here a second time on purpose: a test that used the project's own would not notice when
both sides change.
"""
import contextlib
import ctypes
import fcntl
import os
import socket
import struct

HELLO, ADMIT_IMAGE, REMOVE_IMAGE, LIST_IMAGES, START_STEP, KILL_STEP, END_JOB, LIST_STEPS, IMPORT, FORGET_STEP = range(1, 11)
START_TAIL = struct.pack("<IIQQQB", 0, 0, 0, 0, 0, 0)  # no devices of the step or of tasks, no room of the job's own, no lease, no PMIx
WELCOME, DONE, ERROR, STARTED, STEPS, IMPORTED, IMAGES = range(32, 39)
STEP_GONE = 48
PERMISSION_DENIED = 7  # gRPC's numbers


def string(value):
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack("<I", len(raw)) + raw


def credential(*, cluster, node, epoch, job, uid, gid, image, attempt=1, step=0, oldest=0, version=3, user="x", groups=()):
    return (struct.pack("<I", version) + string(cluster) + string(node) + struct.pack("<QQIIQII", epoch, job, attempt, step,
            oldest, uid, gid) + struct.pack("<I", len(groups)) + b"".join(struct.pack("<I", g) for g in groups) +
            string(user) + string(image) + struct.pack("<BII", 0, 0, 0))  # its changes, time limit, limits of cgroups


def ed25519_sign(pem, message):
    """With libcrypto, which the programs under test need anyway."""
    crypto = ctypes.CDLL("libcrypto.so.3")
    for name in ("BIO_new_mem_buf", "PEM_read_bio_PrivateKey", "EVP_MD_CTX_new"):
        getattr(crypto, name).restype = ctypes.c_void_p
    bio = ctypes.c_void_p(crypto.BIO_new_mem_buf(pem, len(pem)))
    key = ctypes.c_void_p(crypto.PEM_read_bio_PrivateKey(bio, None, None, None))
    context = ctypes.c_void_p(crypto.EVP_MD_CTX_new())
    assert key.value and crypto.EVP_DigestSignInit(context, None, None, None, key) == 1
    signature, size = ctypes.create_string_buffer(64), ctypes.c_size_t(64)
    assert crypto.EVP_DigestSign(context, signature, ctypes.byref(size), message, ctypes.c_size_t(len(message))) == 1
    crypto.EVP_MD_CTX_free(context)
    crypto.EVP_PKEY_free(key)
    crypto.BIO_free(bio)
    return signature.raw


def sealed_memfd(content):
    fd = os.memfd_create("spec", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(fd, content)
    fcntl.fcntl(fd, 1033, 0xF)  # F_ADD_SEALS: seal, shrink, grow, write
    return fd


@contextlib.contextmanager
def as_user(uid, gid):
    """SO_PEERCRED tells the effective ids at the time of connect()."""
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(gid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


def connect(path, uid, gid, kind=socket.SOCK_SEQPACKET):
    s = socket.socket(socket.AF_UNIX, kind)
    s.settimeout(20)
    try:
        with as_user(uid, gid):
            s.connect(str(path))
    except OSError:
        s.close()
        raise
    return s


class Broker:
    """One connection to a broker's socket, as `uid`."""

    def __init__(self, path, uid, gid):
        self.socket = connect(path, uid, gid)
        self.number = 0

    def close(self):
        self.socket.close()

    def send(self, kind, payload, fds=()):
        socket.send_fds(self.socket, [struct.pack("<H", kind) + payload], list(fds))

    def receive(self):
        """(kind, payload) of the next answer; (None, b"") when the broker has hung up."""
        while True:
            message = self.socket.recv(1 << 20)
            if not message:
                return None, b""
            kind = struct.unpack_from("<H", message)[0]
            if kind != STEP_GONE:
                return kind, message[2:]

    def greet(self):
        self.send(HELLO, struct.pack("<I", 6))  # kBrokerProtocolVersion
        return self.receive()

    def ask(self, kind, payload=b"", fds=()):
        self.number += 1
        self.send(kind, struct.pack("<Q", self.number) + payload, fds)
        return self.receive()

    def start(self, body, signature, spec=b"not a step spec"):
        fd = sealed_memfd(spec)
        try:
            return self.ask(START_STEP, string(body) + string(signature) + START_TAIL, [fd])
        finally:
            os.close(fd)

    def images(self):
        kind, payload = self.ask(LIST_IMAGES)
        assert kind == IMAGES, (kind, payload)
        (count,) = struct.unpack_from("<I", payload, 8)
        at, found = 12, []
        for _ in range(count):
            (size,) = struct.unpack_from("<I", payload, at)
            found.append(payload[at + 4:at + 4 + size].decode())
            at += 4 + size
        return found


def error_of(answer):
    """(code, message) of a kError."""
    kind, payload = answer
    assert kind == ERROR, f"not refused: frame {kind} {payload!r}"
    _, code, size = struct.unpack_from("<QiI", payload)
    return code, payload[16:16 + size].decode()
