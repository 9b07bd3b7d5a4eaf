# SPDX-License-Identifier: Apache-2.0
"""A folder on a file server that is gone: a FUSE file system that nobody answers for."""
import os
import subprocess
import sys

MOUNT = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
if libc.mount(b"silent", sys.argv[1].encode(), b"fuse.silent", 0, sys.argv[2].encode()) != 0:
    sys.exit(f"mounting {sys.argv[1]}: {os.strerror(ctypes.get_errno())}")
"""


def entering(pid):
    return ["nsenter", f"--mount=/proc/{pid}/ns/mnt"] if pid else []


def mount_silent(folder, pid=None):
    """In this mount namespace, or that of process `pid`. Closing the descriptor ends it: who waits gets an error."""
    fd = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={fd},rootmode=40000,user_id=0,group_id=0,allow_other"
    subprocess.run([*entering(pid), sys.executable, "-c", MOUNT, str(folder), options], check=True, pass_fds=[fd])
    return fd


def unmount_silent(folder, fd, pid=None):
    os.close(fd)
    subprocess.run([*entering(pid), "umount", "-l", str(folder)], check=False)
