# SPDX-License-Identifier: Apache-2.0
"""What a start could leave behind, looked at before and after: mounts, loop devices, processes, files."""
import contextlib
import ctypes
import pathlib

import slipway_testing as t

CLONE_NEWNS, MS_REC, MS_PRIVATE, MS_SHARED = 0x20000, 0x4000, 1 << 18, 1 << 20


def leave_the_hosts_mounts():
    """What others mount meanwhile is not ours to count: from here on we see the mounts that are made from here. They are
    shared, as systemd has a host's: what a container mounts would show here if it did not make its copy a slave."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) != 0 or any(libc.mount(None, b"/", None, MS_REC | how, None) != 0 for how in (MS_PRIVATE, MS_SHARED)):
        raise OSError(ctypes.get_errno(), "a mount namespace of our own")


class Left:
    """Mounts, loop devices of our images, processes of the user, files in his folders."""

    def __init__(self, uid, folder, image):
        self.uid, self.folder, self.image = uid, folder, str(image)

    def look(self):
        mounts = sorted(line.split(" - ")[0].split(" ", 3)[3] for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines())
        loops = sorted(str(p) for p in pathlib.Path("/sys/block").glob("loop*/loop/backing_file") if self.image in self.text(p))
        processes = []
        for proc in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if self.uid in self.uids(proc):
                    processes.append((proc / "cmdline").read_text().replace("\0", " "))
        files = sorted(str(p) for p in self.folder.rglob("*"))
        return mounts, loops, processes, files

    def before(self):
        """How it stands when nothing of the user's runs: a container's init may outlive its front by a moment."""
        t.wait_until("nothing of the user's runs", lambda: not self.look()[2])
        return self.look()

    def settles(self, before, timeout=30):
        """Processes of a start whose front was killed end by themselves, a moment later. Empty, or what stays."""
        try:
            t.wait_until("all is as before", lambda: self.look() == before, timeout)
        except AssertionError:
            pairs = zip(("mounts", "loop devices", "processes", "files"), self.look(), before)
            return "; ".join(f"{what}: more {[n for n in now if n not in was]}, fewer {[w for w in was if w not in now]}, {len(now)} for {len(was)}"
                             for what, now, was in pairs if now != was)
        return ""

    @staticmethod
    def text(path):
        with contextlib.suppress(OSError):  # the device may have gone
            return path.read_text()
        return ""

    @staticmethod
    def uids(proc):
        """Real, effective, saved and file-system uid; none of a zombie, which only waits for its parent."""
        fields = dict(line.split(":", 1) for line in (proc / "status").read_text().splitlines())
        return set() if fields["State"].strip().startswith("Z") else {int(word) for word in fields["Uid"].split()}
