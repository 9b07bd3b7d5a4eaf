#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What an ext3 image as an overlay costs beside a folder: both in turns, medians, as ratios.

    tests/perf/ext_overlay.py --bin build/release/bin --image IMAGE [--rounds 7]

As an ordinary user; IMAGE has sh, dd and rm."""
import argparse
import os
import pathlib
import statistics
import subprocess
import tempfile
import time

WORK = {
    "start": "true",
    "64 MB written, synced, removed": "dd if=/dev/zero of=/big bs=1M count=64 conv=fsync; rm /big",
    "64 MB read": "dd if=/kept of=/dev/null bs=1M",
    "200 files made and removed": "mkdir /f; i=0; while [ $i -lt 200 ]; do echo x > /f/$i; i=$((i+1)); done; rm -r /f",
}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", type=pathlib.Path, required=True)
    parser.add_argument("--image", required=True)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder, image = pathlib.Path(place, "folder"), pathlib.Path(place, "changes.img")
        folder.mkdir()
        owner = f"root_owner={os.getuid()}:{os.getgid()}"
        subprocess.run(["/sbin/mke2fs", "-q", "-t", "ext3", "-m", "0", "-E", owner, image, "512M"], check=True)

        def timed(overlay, script):
            began = time.monotonic()
            argv = [options.bin / "slipway", "exec", "-o", overlay, options.image, "sh", "-c", script]
            subprocess.run(argv, check=True, stderr=subprocess.DEVNULL)
            return time.monotonic() - began

        for overlay in (folder, image):
            timed(overlay, "dd if=/dev/zero of=/kept bs=1M count=64")
        for what, script in WORK.items():
            times = {folder: [], image: []}
            for _ in range(options.rounds):
                for overlay, taken in times.items():
                    taken.append(timed(overlay, script))
            directory, ext = (statistics.median(taken) for taken in times.values())
            print(f"| {what} | {directory * 1000:.0f} ms | {ext * 1000:.0f} ms | {ext / directory:.1f} |")
        subprocess.run(["chmod", "-R", "u+rwX", folder], check=True)


if __name__ == "__main__":
    main()
