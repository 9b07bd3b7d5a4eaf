#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How long `slipway exec IMAGE /bin/true` takes in each way, from the start of the front to its end, in turns, beside a
plain /bin/true started the same way. Root; everything it makes is in a mount namespace of its own. Reports, never gates.
  unshare -m --propagation private tests/perf/exec_ways.py --bin build/release/bin [--runs 100]"""
import argparse
import hashlib
import os
import pathlib
import shutil
import signal
import socket
import statistics
import subprocess
import tempfile
import time

UID = 20001


def image(top):
    root = top / "root"
    for name in ("bin", "etc", "tmp", "proc", "dev", "sys"):
        (root / name).mkdir(parents=True)
    for program in ("/bin/true", "/bin/sh"):
        shutil.copy(program, root / "bin")
        for word in subprocess.run(["ldd", program], capture_output=True, text=True).stdout.split():
            if word.startswith("/"):
                (root / word[1:]).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(word, root / word[1:])
    path = top / "image.sqsh"
    subprocess.run(["mksquashfs", root, path, "-quiet", "-no-progress", "-all-root"], check=True, stdout=subprocess.DEVNULL)
    return path, "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()


def listening(path):
    for _ in range(2000):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as probe:
            try:
                return probe.connect(str(path))
            except OSError:
                time.sleep(0.005)
    raise SystemExit(f"nobody listens on {path}")


def once(argv):
    begin = time.perf_counter()
    pid = os.posix_spawn(argv[0], argv, {"PATH": "/bin", "HOME": "/"}, file_actions=[
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0), (os.POSIX_SPAWN_OPEN, 2, "/dev/null", os.O_WRONLY, 0)])
    _, status = os.waitpid(pid, 0)
    if status != 0:
        raise SystemExit(f"{argv}: wait status {status}")
    return 1000 * (time.perf_counter() - begin)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", type=pathlib.Path, required=True)
    parser.add_argument("--runs", type=int, default=100)
    options = parser.parse_args()
    top = pathlib.Path(tempfile.mkdtemp(prefix="slipway-ways-"))
    top.chmod(0o755)
    for name in ("slipway", "slipway-starter", "slipway-broker", "slipway-holder"):
        shutil.copy(options.bin / name, top / name)
    (top / "slipway-starter").chmod(0o4755)
    path, digest = image(top)
    store = top / "state/images"
    store.mkdir(parents=True)
    store.chmod(0o700)
    shutil.copy(path, store / digest.replace(":", "-"))
    etc = top / "etc"
    (etc / "slipway").mkdir(parents=True)
    for name in ("passwd", "group", "hosts"):
        shutil.copy(f"/etc/{name}", etc)
    (top / "key").write_text("")
    conf = etc / "slipway/starter.conf"
    conf.write_text(f"node = n\ncluster = c\nagent_uid = 0\nrun_dir = {top}/run\nstate_dir = {top}/state\n")
    subprocess.run(["mount", "--bind", etc, "/etc"], check=True)
    daemons = []
    try:
        daemons.append(subprocess.Popen([top / "slipway-holder"], stderr=subprocess.DEVNULL))
        listening(top / "run/holder.sock")
        daemons.append(subprocess.Popen([top / "slipway-broker"], stderr=subprocess.DEVNULL))
        listening(top / "run/exec.sock")
        child = os.fork()
        if child == 0:
            os.setgroups([UID])
            os.setresgid(UID, UID, UID)
            os.setresuid(UID, UID, UID)
            os.chdir("/")
            cases = {"plain /bin/true": ["/bin/true"]}
            for way, what in (("brokered", digest), ("setuid", digest), ("rootless", str(top / "root")), ("rootless", str(path))):
                kind = {digest: "store image, warm", str(path): "own squashfs"}.get(what, "directory")
                cases[f"{way}, {kind}"] = [str(top / "slipway"), "exec", "--way", way, what, "/bin/true"]
            for argv in cases.values():
                once(argv)
            times = {name: [] for name in cases}
            for _ in range(options.runs):
                for name, argv in cases.items():
                    times[name].append(once(argv))
            for name, values in times.items():
                values.sort()
                print(f"{name:32} median {statistics.median(values):6.2f} ms  p10 {values[len(values) // 10]:6.2f}"
                      f"  p90 {values[len(values) * 9 // 10]:6.2f}", flush=True)
            for name, argv in cases.items():
                if "slipway" in argv[0]:
                    said = subprocess.run(argv[:2] + ["--explain"] + argv[2:], capture_output=True, text=True,
                                          stdin=subprocess.DEVNULL).stderr
                    print(name, *(line for line in said.splitlines() if line.startswith("time")), flush=True)
            os._exit(0)
        os.waitpid(child, 0)
    finally:
        for daemon in reversed(daemons):
            daemon.send_signal(signal.SIGTERM)
            daemon.wait()
        subprocess.run(["umount", "-l", "/etc"], check=True)
        shutil.rmtree(top)


if __name__ == "__main__":
    main()
