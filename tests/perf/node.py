# SPDX-License-Identifier: Apache-2.0
"""A node for measurements: programs that every user can reach, a store with one image, /etc of its own in the mount
namespace of this process (enter one first: unshare -m --propagation private), a holder and a broker."""
import contextlib
import hashlib
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

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import broker_cgroup  # noqa: E402

UID = 20001
ENV = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/", "USER": "user", "XDG_RUNTIME_DIR": "/tmp"}


def tiny_image(top):
    """A squashfs of /bin/true and /bin/sh, of TOP/root, with the loader's cache that every image has."""
    root = top / "root"
    for name in ("bin", "etc", "tmp", "proc", "dev", "sys"):
        (root / name).mkdir(parents=True)
    for program in ("/bin/true", "/bin/sh"):
        shutil.copy(program, root / "bin")
        for word in subprocess.run(["ldd", program], capture_output=True, text=True).stdout.split():
            if word.startswith("/"):
                (root / word[1:]).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(word, root / word[1:])
    shutil.copy("/etc/ld.so.conf", root / "etc")
    subprocess.run(["ldconfig", "-r", root], check=True)
    path = top / "image.sqsh"
    subprocess.run(["mksquashfs", root, path, "-quiet", "-no-progress", "-all-root"], check=True, stdout=subprocess.DEVNULL)
    return path


def listening(path):
    for _ in range(2000):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as probe:
            try:
                return probe.connect(str(path))
            except OSError:
                time.sleep(0.005)
    raise SystemExit(f"nobody listens on {path}")


def once(argv):
    """Milliseconds from the start of a command to its end."""
    begin = time.perf_counter()
    pid = os.posix_spawn(argv[0], argv, ENV, file_actions=[
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0), (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0),
        (os.POSIX_SPAWN_OPEN, 2, "/dev/null", os.O_WRONLY, 0)])
    _, status = os.waitpid(pid, 0)
    if status != 0:
        raise SystemExit(f"{argv}: wait status {status}")
    return 1000 * (time.perf_counter() - begin)


def apptainer(path, rounds, command=("/bin/true",)):
    """Times of `apptainer exec` by a prefix that enters Apptainer's root (SLIPWAY_PERF_APPTAINER; it drops to a user by
    itself), less the median of the prefix's own cost."""
    prefix = os.environ.get("SLIPWAY_PERF_APPTAINER")
    if not prefix:
        print("apptainer: set SLIPWAY_PERF_APPTAINER to a command prefix, e.g. one that enters another root")
        return None
    words = shlex.split(prefix)
    entering, whole = [], []
    for _ in range(rounds + 1):
        entering.append(once([shutil.which(words[0]), *words[1:], "true"]))
        whole.append(once([shutil.which(words[0]), *words[1:], "apptainer", "exec", str(path), *command]))
    cost = statistics.median(entering[1:])
    return [value - cost for value in whole[1:]]


def as_user(work):
    """In a process of its own that is an ordinary user. What work() prints comes out; it ends with its exit code."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setgroups([UID])
            os.setresgid(UID, UID, UID)
            os.setresuid(UID, UID, UID)
            os.chdir("/")
            work()
            code = 0
        finally:
            sys.stdout.flush()
            os._exit(code)
    if os.waitpid(child, 0)[1] != 0:
        raise SystemExit("the measurement failed")


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


class Node:
    """`path`: makes an image file, as users have them; the store has what slipway-import makes of it. `imports`: users may
    bring their own."""

    def __init__(self, programs, path, imports=False):
        self.top = pathlib.Path(tempfile.mkdtemp(prefix="slipway-perf-"))
        self.top.chmod(0o755)
        for name in ("slipway", "slipway-starter", "slipway-squashfuse", "slipway-broker", "slipway-holder", *(["slipway-import"] if imports else [])):
            shutil.copy(programs / name, self.top / name)
        self.conf = f"import_uid = {UID + 1}\nimport_gid = {UID + 1}\nimport = {self.top}/slipway-import\n" if imports else ""
        shutil.copy(programs / "slipway-starter", self.top / "slipway-starter-plain")
        (self.top / "slipway-starter").chmod(0o4755)
        self.slipway = str(self.top / "slipway")
        self.path = pathlib.Path(path(self.top))
        store = self.top / "state/images"
        store.mkdir(parents=True)
        store.chmod(0o700)
        with open(self.path, "rb") as given, open(store / "new", "w+b") as made:
            subprocess.run([programs / "slipway-import", "--in-fd", str(given.fileno()), "--out-fd", str(made.fileno())],
                           pass_fds=[given.fileno(), made.fileno()], stdout=subprocess.DEVNULL, check=True)
            self.digest = "sha256:" + hashlib.sha256((store / "new").read_bytes()).hexdigest()
        (store / "new").rename(store / self.digest.replace(":", "-"))
        self.run = pathlib.Path(tempfile.mkdtemp(prefix="slipway-perf-", dir="/run"))  # below no folder that is bound
        self.run.chmod(0o755)
        self.daemons = []

    def exec(self, way, image, *command):
        return [self.slipway, "exec", "--way", way, str(image), *command]

    def __enter__(self):
        etc = self.top / "etc"
        (etc / "slipway").mkdir(parents=True)
        for name in ("passwd", "group", "hosts", "nsswitch.conf", "ld.so.cache", "subuid", "subgid"):
            shutil.copy(f"/etc/{name}", etc)
        with open(etc / "passwd", "a") as passwd, open(etc / "group", "a") as group:  # as ordinary users are
            passwd.write(f"user:x:{UID}:{UID}::/:/bin/sh\n")
            group.write(f"user:x:{UID}:\n")
        (self.top / "key").write_text("")
        (etc / "slipway/starter.conf").write_text(f"node = n\ncluster = c\nagent_uid = 0\nrun_dir = {self.run}\nstate_dir = {self.top}/state\n{self.conf}")
        subprocess.run(["mount", "--bind", etc, "/etc"], check=True)
        try:
            for program, name in (("slipway-holder", "holder.sock"), ("slipway-broker", "exec.sock")):
                self.daemons.append(subprocess.Popen([self.top / program], stderr=subprocess.DEVNULL))
                listening(self.run / name)
        except BaseException:
            self.__exit__()
            raise
        return self

    def stop_daemons(self):
        while self.daemons:
            daemon = self.daemons.pop()
            daemon.send_signal(signal.SIGTERM)
            daemon.wait()

    def __exit__(self, *_):
        self.stop_daemons()
        broker_cgroup.remove("c", "n", self.run)
        subprocess.run(["umount", "-l", "/etc"], check=True)
        shutil.rmtree(self.top)
        shutil.rmtree(self.run)
