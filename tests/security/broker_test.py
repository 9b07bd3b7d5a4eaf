#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Nothing starts on a node that the controller did not sign, and nobody but the agent may even ask."""
import os
import struct
import unittest

import hostile as h
import slipway_testing as t


@t.need_root
class TheRunningBroker(t.ClusterTest):
    NODES = 2
    IMAGES = ("tiny",)
    next_job = 10**9

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.cluster("launch", "-N2", "-n2", "--image", "tiny", "--", "true", check=0)
        cls.run_dir = cls.cluster.state / "nodes/n1/run"
        cls.agent = os.stat(cls.run_dir / "broker.sock")
        cls.user = cls.account.entry
        cls.key = (cls.cluster.state / "cluster/signing.key").read_bytes()
        cls.cluster_id = (cls.cluster.state / "cluster/cluster-id").read_text().strip()
        marks = (cls.cluster.state / "nodes/n1/broker/marks").read_bytes()
        cls.epoch = max(struct.unpack_from("<Q", marks, at + 8)[0] for at in range(0, len(marks), 48))

    def setUp(self):
        self.broker = h.Broker(self.run_dir / "broker.sock", self.agent.st_uid, self.agent.st_gid)
        self.addCleanup(self.broker.close)
        self.assertEqual(self.broker.greet()[0], h.WELCOME)
        self.image = self.broker.images()[0]
        TheRunningBroker.next_job += 1
        self.good = dict(cluster=self.cluster_id, node="n1", epoch=self.epoch, job=self.next_job, uid=self.user.pw_uid,
                         gid=self.user.pw_gid, image=self.image)

    def signed(self, **changes):
        body = h.credential(**dict(self.good, **changes))
        return body, h.ed25519_sign(self.key, b"slipway launch credential 1\0" + body)

    def refused(self, answer, *words):
        code, message = h.error_of(answer)
        for word in words:
            self.assertIn(word, message)
        self.assertEqual(code, h.PERMISSION_DENIED, message)
        self.assertNotIn("\n", message)
        self.assertEqual(list((self.run_dir / "steps").glob(f"{self.next_job}.*")), [])

    def end(self, job):
        step = struct.pack("<QII", job, 1, 0)
        for request in (h.KILL_STEP, h.FORGET_STEP, h.END_JOB):
            self.broker.ask(request, step)

    def test_what_the_controller_signed_starts_once_and_never_again(self):
        body, signature = self.signed()
        self.addCleanup(self.end, self.next_job)
        self.assertEqual(self.broker.start(body, signature)[0], h.STARTED)
        code, message = h.error_of(self.broker.start(body, signature))
        self.assertEqual(code, h.PERMISSION_DENIED)
        self.assertIn("started before", message)

    def test_a_replay_is_refused_after_the_broker_was_killed(self):
        body, signature = self.signed()
        self.assertEqual(self.broker.start(body, signature)[0], h.STARTED)
        self.end(self.next_job)
        self.broker.close()
        self.cluster.kill("n1-broker")

        def again():
            try:
                broker = h.Broker(self.run_dir / "broker.sock", self.agent.st_uid, self.agent.st_gid)
            except OSError:
                return None
            return broker if broker.greet()[0] == h.WELCOME else None
        self.broker = t.wait_until("the broker answers again", again, 30)
        self.addCleanup(self.broker.close)
        self.refused(self.broker.start(body, signature), "started before")

    def test_an_older_attempt_is_refused(self):
        self.addCleanup(self.end, self.next_job)
        body, signature = self.signed(attempt=2)
        self.assertEqual(self.broker.start(body, signature)[0], h.STARTED)
        self.broker.ask(h.KILL_STEP, struct.pack("<QII", self.next_job, 2, 0))
        self.broker.ask(h.FORGET_STEP, struct.pack("<QII", self.next_job, 2, 0))
        self.refused(self.broker.start(*self.signed(attempt=1)), "attempt 1")

    def test_a_signature_of_another_key_is_refused(self):
        body, signature = self.signed()
        forged = bytes(reversed(signature))
        self.refused(self.broker.start(body, forged), "not signed")
        self.refused(self.broker.start(body, b""), "not signed")
        self.refused(self.broker.start(body, bytes(64)), "not signed")
        self.refused(self.broker.start(body, signature + b"\0"), "not signed")

    def test_any_altered_byte_of_the_credential_is_refused(self):
        body, signature = self.signed()
        for at in range(0, len(body), 7):
            altered = bytearray(body)
            altered[at] ^= 1
            self.refused(self.broker.start(bytes(altered), signature), "not signed")

    def test_a_users_token_is_no_launch_credential(self):
        body = h.credential(**self.good)
        self.refused(self.broker.start(body, h.ed25519_sign(self.key, b"slipway user token 1\0" + body)), "not signed")

    def test_another_node_and_another_cluster_are_refused(self):
        self.refused(self.broker.start(*self.signed(node="n2")), "n2", "n1")
        self.refused(self.broker.start(*self.signed(node="")), "n1")
        self.refused(self.broker.start(*self.signed(cluster="0123456789abcdef")), "not ours")

    def test_root_and_no_ones_ids_are_refused(self):
        self.refused(self.broker.start(*self.signed(uid=0)), "root")
        self.refused(self.broker.start(*self.signed(gid=0)), "root")
        for nobody in (65534, 0xFFFFFFFF):
            self.refused(self.broker.start(*self.signed(uid=nobody)), str(nobody))
            self.refused(self.broker.start(*self.signed(gid=nobody)), str(nobody))

    def test_a_deposed_controllers_epoch_is_refused(self):
        self.assertGreater(self.epoch, 0)
        self.refused(self.broker.start(*self.signed(epoch=self.epoch - 1)), "epoch")

    def test_a_credential_of_an_unknown_version_is_refused(self):
        code, message = h.error_of(self.broker.start(*self.signed(version=2)))
        self.assertIn("version 2", message)

    def test_an_image_that_was_not_admitted_is_refused(self):
        for image in ("sha256:" + "0" * 64, "sha256:../../../etc/passwd", self.image.upper(), ""):
            h.error_of(self.broker.start(*self.signed(image=image)))
        self.assertEqual(self.broker.start(*self.signed())[0], h.STARTED)  # none of them cost the step's mark
        self.end(self.next_job)

    def test_a_spec_that_could_still_change_is_refused(self):
        fd = os.memfd_create("spec", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        self.addCleanup(os.close, fd)
        os.write(fd, b"spec")
        body, signature = self.signed()
        h.error_of(self.broker.ask(h.START_STEP, h.string(body) + h.string(signature) + h.START_TAIL, [fd]))

    def test_malformed_frames_end_the_connection_and_nothing_else(self):
        before = self.cluster.pid("n1-broker")
        for message in (b"", b"\x05", b"\xff\xff", b"\x05\0" + b"\xff" * 64, b"\x01\0" + b"\x09\0\0\0", os.urandom(60000)):
            broker = h.Broker(self.run_dir / "broker.sock", self.agent.st_uid, self.agent.st_gid)
            broker.socket.send(message)
            kind, _ = broker.receive()
            self.assertIn(kind, (h.ERROR, None), message[:8])
            broker.close()
        self.assertEqual(self.cluster.pid("n1-broker"), before)
        self.assertIn(self.image, self.broker.images())

    def test_the_first_frame_must_be_a_hello(self):
        broker = h.Broker(self.run_dir / "broker.sock", self.agent.st_uid, self.agent.st_gid)
        self.addCleanup(broker.close)
        self.assertIn("hello", h.error_of(broker.ask(h.LIST_STEPS))[1])

    def test_other_uids_are_kept_out_by_the_sockets_mode(self):
        for name in ("broker.sock", "holder.sock"):
            for uid, gid in ((self.user.pw_uid, self.user.pw_gid), (64399, 64399)):
                with self.assertRaises(PermissionError, msg=name):
                    h.connect(self.run_dir / name, uid, gid)

    def test_other_uids_are_refused_even_when_the_mode_lets_them_in(self):
        for name in ("broker.sock", "holder.sock"):
            path = self.run_dir / name
            mode = os.stat(path).st_mode & 0o777
            os.chmod(path, 0o666)
            self.addCleanup(os.chmod, path, mode)
        broker = h.Broker(self.run_dir / "broker.sock", self.user.pw_uid, self.user.pw_gid)
        self.addCleanup(broker.close)
        code, message = h.error_of(broker.receive())
        self.assertEqual(code, h.PERMISSION_DENIED)
        self.assertIn(str(self.user.pw_uid), message)
        self.assertEqual(broker.receive()[0], None)
        for uid in (self.user.pw_uid, self.agent.st_uid):  # the holder serves root alone: not the agent either
            holder = h.connect(self.run_dir / "holder.sock", uid, uid)
            self.addCleanup(holder.close)
            try:
                holder.send(struct.pack("<H", 2) + h.string("mounts"))
                self.assertEqual(holder.recv(100), b"")
            except (BrokenPipeError, ConnectionResetError):
                pass


if __name__ == "__main__":
    unittest.main()
