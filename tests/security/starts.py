# SPDX-License-Identifier: Apache-2.0
"""A start of a container by somebody hostile: he chooses everything that exec hands down, and the command in the
container (probe.c) tries what it may not be able to do. In each way there is to make a container here.
"""
import contextlib
import ctypes
import hashlib
import os
import pathlib
import select
import shutil
import signal
import subprocess
import tempfile
import time

import broker_cgroup
import slipway_testing as t
from left import Left

LIBC = ctypes.CDLL(None, use_errno=True)
IMPORTER = 64398  # a uid that nobody has


def strings(words):
    raw = [w.encode() if isinstance(w, str) else os.fsencode(w) for w in words]
    return (ctypes.c_char_p * (len(raw) + 1))(*raw, None)


class Ended:
    """The end of a start: how, and what it said."""

    def __init__(self, status, out, err):
        self.code = os.waitstatus_to_exitcode(status)
        self.out, self.err = out.decode(errors="replace"), err.decode(errors="replace")

    def __repr__(self):
        return f"<exit code {self.code}, out {self.out[:600]!r}, err {self.err[:600]!r}>"


class Started:
    def __init__(self, pid, out, err):
        self.pid, self.out, self.err = pid, out, err
        self.said = {out: b"", err: b""}

    def finish(self, timeout=60):
        deadline = time.monotonic() + timeout
        open_ends = {self.out, self.err}
        while open_ends:
            ready, _, _ = select.select(list(open_ends), [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
                raise AssertionError(f"it hangs; so far it said {self.said}")
            for end in ready:
                chunk = os.read(end, 65536)
                self.said[end] += chunk
                if not chunk:
                    os.close(end)
                    open_ends.discard(end)
        _, status = os.waitpid(self.pid, 0)
        return Ended(status, self.said[self.out], self.said[self.err])


def start(argv, *, uid, gid, groups=(), env=(), cwd="/", twist=None, keep=()):
    """execve(2) of argv[0] with exactly these words, as that user. `env`: whole entries, NAME=value or not.
    `twist()` runs last before it, in the new process. Its standard output and error are pipes."""
    out, out_end = os.pipe()
    err, err_end = os.pipe()
    words, entries, program = strings(argv), strings(env), os.fsencode(argv[0])
    pid = os.fork()
    if pid != 0:
        os.close(out_end)
        os.close(err_end)
        return Started(pid, out, err)
    try:
        null = os.open("/dev/null", os.O_RDONLY)
        for number, fd in enumerate((null, out_end, err_end)):
            os.dup2(fd, number)
        for fd in keep:
            os.set_inheritable(fd, True)
        os.setgroups(list(groups))
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
        os.chdir(cwd)
        if twist is not None:
            twist()
        LIBC.execve(program, words, entries)
    finally:
        os._exit(99)


class Site:
    """Programs that every user can reach, an image that is the probe alone, a secret, two users."""

    def __init__(self, case):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="slipway-hostile-", dir="/tmp"))
        case.addClassCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        os.chmod(self.folder, 0o755)
        account, other = t.Account("slipway-hst"), t.Account("slipway-hso")
        case.addClassCleanup(account.remove)
        case.addClassCleanup(other.remove)
        self.user, self.other = account.entry, other.entry
        self.tree = self.folder / "tree"
        for name in ("bin", "etc", "tmp", "proc", "sys", "dev"):
            (self.tree / name).mkdir(parents=True)
        subprocess.run(["gcc", "-static", "-O1", "-o", self.tree / "bin/probe", t.SOURCE / "tests/security/probe.c"], check=True)
        self.squashfs = self.folder / "own.sqsh"
        subprocess.run(["mksquashfs", self.tree, self.squashfs, "-all-root", "-quiet", "-no-progress", "-processors", "1"], check=True,
                       stdout=subprocess.DEVNULL)
        self.secret = self.folder / "secret"
        self.secret.write_text("nobody else's\n")
        os.chmod(self.secret, 0o600)
        self.bin = self.folder / "bin"
        self.bin.mkdir()
        for program in ("slipway", "slipway-starter"):
            shutil.copy(t.BIN / program, self.bin)
        self.slipway = self.bin / "slipway"

    def probe(self, uid=None, gid=None):
        return ["/bin/probe", str(self.user.pw_uid if uid is None else uid), str(self.user.pw_gid if gid is None else gid), str(self.secret)]

    def left(self, uid=None):
        return Left(self.user.pw_uid if uid is None else uid, pathlib.Path(self.user.pw_dir), self.folder)

    def env(self):
        return [f"HOME={self.user.pw_dir}", f"USER={self.user.pw_name}", "PATH=/usr/bin:/bin", "NO_COLOR=1"]


class Way:
    """`exec` by one of the ways, of each kind of image that this way knows by itself."""
    name, words = "rootless", ()

    def __init__(self, site):
        self.site = site

    def images(self):
        return {"directory": self.site.tree, "squashfs": self.site.squashfs}

    def argv(self, image, command, options=()):
        return [str(self.site.slipway), "exec", *self.words, *map(str, options), str(image), *command]


def knows_ways():
    return "--way" in t.run([t.SLIPWAY, "exec", "--help"]).stdout


class Privileged(Way):
    """A way that mounts images of the node's store."""
    digest = ""

    def images(self):
        return {"store": self.digest, "squashfs": self.site.squashfs}


class Privileges:
    """/etc/slipway/starter.conf, a store with the probe's image, a setuid starter, a holder and a broker; all gone with
    the mount namespace that the test made for itself (left.leave_the_hosts_mounts)."""

    def __init__(self, case, site, conf=""):
        self.site, self.processes = site, []
        made = not os.path.isdir("/etc/slipway")
        if made:
            os.mkdir("/etc/slipway", 0o755)
            case.addClassCleanup(os.rmdir, "/etc/slipway")
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=0755", "slipway-test", "/etc/slipway"], check=True)
        case.addClassCleanup(subprocess.run, ["umount", "/etc/slipway"], check=True)
        self.run_dir, self.state, images = site.folder / "run", site.folder / "state", site.folder / "state/images"
        images.mkdir(parents=True)
        os.chmod(images, 0o700)
        self.run_dir.mkdir()
        digest = hashlib.sha256(site.squashfs.read_bytes()).hexdigest()
        self.file = images / f"sha256-{digest}"
        shutil.copy(site.squashfs, self.file)
        os.chmod(self.file, 0o444)
        key = site.folder / "controller.pub"  # of a controller that signs nothing here
        subprocess.run(f"openssl genpkey -algorithm ed25519 | openssl pkey -pubout -out {key}", shell=True, check=True)
        lines = {"node": "n1", "cluster": "c1", "agent_uid": IMPORTER - 1, "agent_gid": IMPORTER - 1, "run_dir": self.run_dir,
                 "state_dir": self.state, "controller_key": key, "stepd": t.BIN / "slipway-stepd", "import": t.BIN / "slipway-import",
                 "import_uid": IMPORTER, "import_gid": IMPORTER, "broker": t.BIN / "slipway-broker"}
        self.conf = pathlib.Path("/etc/slipway/starter.conf")
        self.conf.write_text("".join(f"{name} = {value}\n" for name, value in lines.items()) + conf)
        os.chmod(self.conf, 0o644)
        os.chmod(site.bin / "slipway-starter", 0o4755)
        self.ways = []
        for name in ("setuid", "brokered"):
            way = Privileged(site)
            way.name, way.words, way.digest = name, ("--way", name), f"sha256:{digest}"
            self.ways.append(way)
        case.addClassCleanup(self.stop)
        self.serve("slipway-holder", "holder.sock")
        self.serve("slipway-broker", "exec.sock")

    def serve(self, program, socket_name):
        log = open(self.site.folder / f"{program}.log", "wb")
        self.processes.append(subprocess.Popen(["setpriv", "--pdeathsig", "KILL", t.BIN / program, "--config", self.conf], stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                               env={**os.environ, "SLIPWAY_TEST_OF_ROOT": "1"}))
        log.close()

        def serves():
            assert self.processes[-1].poll() is None, (self.site.folder / f"{program}.log").read_text()
            return (self.run_dir / socket_name).exists()
        t.wait_until(f"{program} serves", serves)

    def stop(self):
        for process in reversed(self.processes):
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
            process.kill()
            process.wait()
        broker_cgroup.remove("c1", "n1", self.run_dir)


def ways(case, site, conf=""):
    """Every way that this build knows, with more lines of starter.conf. Call leave_the_hosts_mounts() before."""
    plain = Way(site)
    if not knows_ways():
        return [plain]
    plain.words = ("--way", "rootless")
    return [plain, *Privileges(case, site, conf).ways]


def judge(ended):
    """Empty when the container held, or when nothing was started and one line says why."""
    lines = [line for line in ended.err.splitlines() if line.strip() and "warning" not in line]
    if ended.code == 0:
        return "" if ended.out == "held\n" else "something was gained"
    if ended.code not in (125, 126, 127):
        return "a crash" if ended.code < 0 or ended.code > 128 else "something was gained" if ended.out else "a wrong exit code"
    return "" if len(lines) == 1 else f"{len(lines)} lines for one refusal"
