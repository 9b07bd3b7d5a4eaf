#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How long `slipway exec IMAGE /bin/true` takes in each way, from the start of the front to its end, in turns, beside a
plain /bin/true started the same way. Root; everything it makes is in a mount namespace of its own. Reports, never gates.
  unshare -m --propagation private tests/perf/exec_ways.py --bin build/release/bin [--runs 100]"""
import argparse
import hashlib
import json
import os
import pathlib
import shlex
import shutil
import signal
import socket
import statistics
import subprocess
import sys
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
    pid = os.posix_spawn(argv[0], argv, {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/", "USER": "user", "XDG_RUNTIME_DIR": "/tmp"}, file_actions=[
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0), (os.POSIX_SPAWN_OPEN, 2, "/dev/null", os.O_WRONLY, 0)])
    _, status = os.waitpid(pid, 0)
    if status != 0:
        raise SystemExit(f"{argv}: wait status {status}")
    return 1000 * (time.perf_counter() - begin)


def peers(top, path):
    """{name: argv} of other runtimes that are installed, on the same tree."""
    root, found = str(top / "root"), {}
    if shutil.which("bwrap"):
        found["bubblewrap, directory"] = [shutil.which("bwrap"), "--unshare-pid", "--ro-bind", root, "/", "--proc", "/proc", "--dev", "/dev", "/bin/true"]
    if shutil.which("ch-run"):
        found["Charliecloud, directory"] = [shutil.which("ch-run"), "--no-passwd", root, "--", "/bin/true"]
    if shutil.which("crun"):
        bundle = top / "bundle"
        bundle.mkdir()
        namespaces = [{"type": kind} for kind in ("user", "mount", "pid", "ipc")]
        (bundle / "config.json").write_text(json.dumps({
            "ociVersion": "1.0.2", "root": {"path": root, "readonly": True},
            "process": {"user": {"uid": UID, "gid": UID}, "args": ["/bin/true"], "env": ["PATH=/bin"], "cwd": "/"},
            "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"},
                       {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["mode=755"]}],
            "linux": {"namespaces": namespaces, "uidMappings": [{"containerID": UID, "hostID": UID, "size": 1}],
                      "gidMappings": [{"containerID": UID, "hostID": UID, "size": 1}]}}))
        found["crun, directory"] = [shutil.which("crun"), f"--root={top}/crun", "--cgroup-manager=disabled", "run", "-b", str(bundle), "one"]
        (top / "crun").mkdir()
        os.chown(top / "crun", UID, UID)
    return found


def apptainer(path, rounds):
    """Medians of a prefix that enters Apptainer's root (SLIPWAY_PERF_APPTAINER; it drops to a user by itself), less its own cost."""
    prefix = os.environ.get("SLIPWAY_PERF_APPTAINER")
    if not prefix:
        print("apptainer: set SLIPWAY_PERF_APPTAINER to a command prefix, e.g. one that enters another root")
        return None
    words = shlex.split(prefix)
    entering, whole = [], []
    for _ in range(rounds + 1):
        entering.append(once([shutil.which(words[0]), *words[1:], "true"]))
        whole.append(once([shutil.which(words[0]), *words[1:], "apptainer", "exec", str(path), "/bin/true"]))
    cost = statistics.median(entering[1:])
    return [value - cost for value in whole[1:]]


def measure(cases, rounds):
    usable = {}
    for name, argv in cases.items():
        try:
            once(argv)
            usable[name] = argv
        except SystemExit as why:
            print(f"{name}: left out, {why}")
    times = {name: [] for name in usable}
    for _ in range(rounds):
        for name, argv in usable.items():
            times[name].append(once(argv))
    return times


def report(times):
    ours = [name for name in times if name.split(",")[0] in ("brokered", "setuid", "rootless")]
    print(f"load {os.getloadavg()[0]:.1f}; p10, p90; then each of our ways over this one, median of the pairs: {', '.join(ours)}")
    for name, values in times.items():
        in_order = sorted(values)
        ratios = "  ".join(f"{statistics.median(a / b for a, b in zip(times[one], values)):6.3f}" for one in ours)
        print(f"{name:32} median {statistics.median(values):7.2f} ms  p10 {in_order[len(values) // 10]:7.2f}"
              f"  p90 {in_order[len(values) * 9 // 10]:7.2f}   {ratios}", flush=True)


def ranks(top, options):
    """128 ranks in one container beside 128 plain forks, in pairs; as root, so rootless in a namespace of its own."""
    program = options.bin.parent / "tests/perf_ranks"
    if not program.exists():
        return print(f"{program}: not built")
    for count in (16, 128):
        done = subprocess.run([program, top / "slipway-starter-plain", top / "root", str(count), "15", "/bin/true"],
                              capture_output=True, text=True, check=True, user=UID, group=UID, extra_groups=[], cwd="/")
        pairs = [tuple(map(int, line.split())) for line in done.stdout.splitlines()]
        print(f"{count} ranks in a container over {count} plain forks: {statistics.median(a / b for a, b in pairs):.2f} "
              f"(median of {len(pairs)} pairs; {statistics.median(a for a, _ in pairs) / 1000:.1f} ms)")


def as_user(top, path, digest, rounds, peers_of_user, peer_times):
    os.setgroups([UID])
    os.setresgid(UID, UID, UID)
    os.setresuid(UID, UID, UID)
    os.chdir("/")
    cases = {"plain /bin/true": ["/bin/true"]}
    for way, what in (("brokered", digest), ("setuid", digest), ("rootless", str(top / "root")), ("rootless", str(path))):
        kind = {digest: "store image, warm", str(path): "own squashfs"}.get(what, "directory")
        cases[f"{way}, {kind}"] = [str(top / "slipway"), "exec", "--way", way, what, "/bin/true"]
    times = measure({**cases, **peers_of_user}, rounds)
    if peer_times:
        times["Apptainer, own squashfs"] = peer_times
    report(times)
    for name, argv in cases.items():
        if "slipway" in argv[0]:
            said = subprocess.run(argv[:2] + ["--explain"] + argv[2:], capture_output=True, text=True, stdin=subprocess.DEVNULL).stderr
            print(name, *(line for line in said.splitlines() if line.startswith("time")), flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", type=pathlib.Path, required=True)
    parser.add_argument("--runs", type=int, default=100)
    options = parser.parse_args()
    options.bin = options.bin.resolve()
    top = pathlib.Path(tempfile.mkdtemp(prefix="slipway-ways-"))
    top.chmod(0o755)
    for name in ("slipway", "slipway-starter", "slipway-broker", "slipway-holder"):
        shutil.copy(options.bin / name, top / name)
    shutil.copy(options.bin / "slipway-starter", top / "slipway-starter-plain")
    (top / "slipway-starter").chmod(0o4755)
    path, digest = image(top)
    store = top / "state/images"
    store.mkdir(parents=True)
    store.chmod(0o700)
    shutil.copy(path, store / digest.replace(":", "-"))
    etc = top / "etc"
    (etc / "slipway").mkdir(parents=True)
    for name in ("passwd", "group", "hosts", "nsswitch.conf", "ld.so.cache"):
        shutil.copy(f"/etc/{name}", etc)
    with open(etc / "passwd", "a") as passwd, open(etc / "group", "a") as group:  # as ordinary users are
        passwd.write(f"user:x:{UID}:{UID}::/:/bin/sh\n")
        group.write(f"user:x:{UID}:\n")
    (top / "key").write_text("")
    conf = etc / "slipway/starter.conf"
    conf.write_text(f"node = n\ncluster = c\nagent_uid = 0\nrun_dir = {top}/run\nstate_dir = {top}/state\n")
    try:
        peers_of_user, peer_times = peers(top, path), apptainer(path, min(options.runs, 21))
    except SystemExit:
        shutil.rmtree(top)
        raise
    subprocess.run(["mount", "--bind", etc, "/etc"], check=True)
    daemons = []
    try:
        daemons.append(subprocess.Popen([top / "slipway-holder"], stderr=subprocess.DEVNULL))
        listening(top / "run/holder.sock")
        daemons.append(subprocess.Popen([top / "slipway-broker"], stderr=subprocess.DEVNULL))
        listening(top / "run/exec.sock")
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            as_user(top, path, digest, options.runs, peers_of_user, peer_times)
            sys.stdout.flush()
            os._exit(0)
        os.waitpid(child, 0)
        ranks(top, options)
    finally:
        for daemon in reversed(daemons):
            daemon.send_signal(signal.SIGTERM)
            daemon.wait()
        subprocess.run(["umount", "-l", "/etc"], check=True)
        shutil.rmtree(top)


if __name__ == "__main__":
    main()
