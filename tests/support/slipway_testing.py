# SPDX-License-Identifier: Apache-2.0
"""What the end-to-end tests share: the programs under test, images, an ordinary account, a dev cluster.

Everything made here is removed here, in reverse order, whatever the test did; processes are ended by pid.
"""
import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

SOURCE = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("SLIPWAY_BUILD", SOURCE / "build/release"))
BIN = BUILD / "bin"
SLIPWAY = str(BIN / "slipway")
ROOT = os.geteuid() == 0


def need_root(test):
    return unittest.skipUnless(ROOT, "needs root: real accounts and kernel mounts")(test)


def run(argv, *, user=None, cwd=None, env=None, timeout=120, check=None, stdin=None):
    """Runs a command, as `user` (a pwd entry) when given; returns the CompletedProcess with text output."""
    options = {}
    full = dict(os.environ, NO_COLOR="1")
    if user is not None:
        full = {"HOME": user.pw_dir, "USER": user.pw_name, "LOGNAME": user.pw_name, "NO_COLOR": "1",
                "PATH": os.environ["PATH"], "SHELL": "/bin/sh"}
        if os.geteuid() != user.pw_uid:
            options = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    full.update(env or {})
    done = subprocess.run([str(a) for a in argv], cwd=cwd or (user.pw_dir if user else None), env=full, text=True,
                          capture_output=True, timeout=timeout, input=stdin, errors="replace", **options)
    if check is not None and done.returncode != check:
        raise AssertionError(f"{argv} gave {done.returncode}, not {check}\nstdout: {done.stdout}\nstderr: {done.stderr}")
    return done


def wait_until(what, condition, timeout=60.0):
    """Polls a condition of another process's making; the bound is a failure, never a pass."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {what}")
        time.sleep(0.05)


def image(name):
    """The SIF of images/NAME.def; built once per recipe and build folder, by whoever comes first."""
    recipe = SOURCE / "images" / f"{name}.def"
    key = hashlib.sha256(recipe.read_bytes()).hexdigest()[:12]
    folder = pathlib.Path(os.environ.get("SLIPWAY_IMAGE_CACHE", BUILD / "images"))
    folder.mkdir(parents=True, exist_ok=True)
    sif = folder / f"{name}-{key}.sif"
    with open(folder / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not sif.exists():
            run([SLIPWAY, "build", sif, recipe], timeout=900, check=0)
    return str(sif)


def owner_of(proc):
    """Whose process it is, by its folder in /proc; None when it has ended meanwhile."""
    with contextlib.suppress(OSError):
        return proc.stat().st_uid
    return None


class Account:
    """A real account for the time of a test module: jobs of root are refused. Without root: whoever runs the tests."""

    def __init__(self, name="slipway-e2e"):
        self.made = False
        if not ROOT:
            self.entry = pwd.getpwuid(os.getuid())
            return
        self.name = f"{name}{os.getpid() % 10000}"
        subprocess.run(["useradd", "--create-home", "--home-dir", f"/home/{self.name}", "--shell", "/bin/sh", self.name],
                       check=True, capture_output=True)
        self.made = True
        self.entry = pwd.getpwnam(self.name)

    def remove(self):
        if not self.made:
            return
        for proc in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if proc.stat().st_uid == self.entry.pw_uid:
                    os.kill(int(proc.name), signal.SIGKILL)
        subprocess.run(["userdel", "--remove", self.name], check=False, capture_output=True)


class Cluster:
    """`slipway dev up` under a name of its own, and the commands a user of it would type."""

    def __init__(self, nodes=2, user=None, rootless=False, **options):
        self.name = f"t{os.getpid()}"
        self.user = user
        # Whose cluster it is: root's, or (rootless) its user's own.
        self.owner = user if rootless else None
        more = [word for key, value in options.items() for word in (f"--{key}", value)]
        # Made by whoever runs the tests; an ordinary user then works on root's cluster.
        self.home = tempfile.mkdtemp(prefix="slipway-e2e-")
        os.chmod(self.home, 0o755)
        if ROOT and rootless:
            os.chown(self.home, user.pw_uid, user.pw_gid)
        done = self.dev("up", "--nodes", nodes, *more, timeout=180)
        if done.returncode != 0:
            self.down()
            raise AssertionError(f"dev up failed: {done.stdout}\n{done.stderr}")
        self.state = pathlib.Path(json.loads(self.dev("status", "--json", check=0).stdout)["state"])
        self.context = str(self.state / "context.toml")

    def dev(self, verb, *argv, **options):
        return run([SLIPWAY, "dev", verb, "--name", self.name, *argv], user=self.owner, env={"XDG_CONFIG_HOME": self.home}, **options)

    def down(self, check=None):
        self.dev("down", timeout=120, check=check)
        shutil.rmtree(self.home, ignore_errors=True)

    def __call__(self, *argv, user=None, **options):
        """slipway ARGV… as the cluster's user."""
        env = dict(options.pop("env", {}), SLIPWAY_CONTEXT=self.context)
        return run([SLIPWAY, *argv], user=user or self.user, env=env, **options)

    def by_name(self, name, *argv, **options):
        """By one of Slurm's names: by_name("squeue", "-h")."""
        env = dict(options.pop("env", {}), SLIPWAY_CONTEXT=self.context)
        return run([BIN / name, *argv], user=options.pop("user", self.user), env=env, **options)

    def popen(self, *argv, **options):
        entry = self.user
        env = {"HOME": entry.pw_dir, "USER": entry.pw_name, "PATH": os.environ["PATH"], "NO_COLOR": "1",
               "SLIPWAY_CONTEXT": self.context}
        if ROOT:
            options.update(user=entry.pw_uid, group=entry.pw_gid, extra_groups=[])
        return subprocess.Popen([SLIPWAY, *map(str, argv)], cwd=entry.pw_dir, env=env, text=True, stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)

    def json(self, *argv):
        return json.loads(self(*argv, "--json", check=0).stdout)

    def job(self, job_id):
        return self.json("job", job_id)

    def submit(self, *argv, **options):
        done = self("submit", "--parsable", *argv, check=0, **options)
        return int(done.stdout.strip().split(";")[0])

    def wait_state(self, job_id, *states, timeout=60):
        def there():
            job = self.job(job_id)
            return job if job["state"] in states else None
        return wait_until(f"job {job_id} in {states}", there, timeout)

    def wait_end(self, job_id, timeout=120):
        return wait_until(f"job {job_id} ended", lambda: (lambda j: j if j.get("ended") else None)(self.job(job_id)), timeout)

    def pid(self, daemon):
        """The pid of a daemon ("slipwayd", "n1-agent", "n1-broker"), as the supervisor wrote it."""
        return int((self.state / "run" / f"{daemon}.pid").read_text())

    def node(self, name):
        return next(n for n in self.json("nodes")["nodes"] if n["name"] == name)

    def set_agent(self, node, **settings):
        """Settings of that node's agent, which is started anew with them."""
        folder = next(self.state.rglob(f"{node}/slipway.toml")).parent / "conf.d"
        folder.mkdir(mode=0o755, exist_ok=True)
        file = folder / "test.toml"
        file.write_text("[agent]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in settings.items()))
        file.chmod(0o644)
        self.kill(f"{node}-agent")

    def kill(self, daemon):
        """SIGKILL, and waits until the supervisor has started the next one."""
        before = self.pid(daemon)
        os.kill(before, signal.SIGKILL)

        def again():
            with contextlib.suppress(OSError, ValueError):
                now = self.pid(daemon)
                return now if now != before else None
        return wait_until(f"{daemon} started again", again, 30)


class ClusterTest(unittest.TestCase):
    """A module's cluster of NODES nodes, an ordinary user on it, IMAGES in its catalogue."""
    NODES = 2
    IMAGES = ("mpi", "tiny")
    CORES = 8  # of each node; None: the machine's own, which ranks are then bound to
    ROOTLESS = False  # also when root runs the tests: the account brings its own cluster up
    OPTIONS = {}  # of dev up, besides

    @classmethod
    def setUpClass(cls):
        cls.account = Account()
        cls.addClassCleanup(cls.account.remove)
        files = {name: image(name) for name in cls.IMAGES}
        cls.cluster = Cluster(nodes=cls.NODES, user=cls.account.entry, rootless=cls.ROOTLESS,
                              **({"cores": cls.CORES} if cls.CORES else {}), **cls.OPTIONS)
        cls.addClassCleanup(cls.cluster.down)
        for name, file in files.items():
            setattr(cls, name, file)
            cls.cluster("image", "add", file, name, check=0, timeout=300)
        cls.home = pathlib.Path(cls.account.entry.pw_dir)

    def script(self, name, *lines):
        path = self.home / name
        path.write_text("#!/bin/sh\n" + "\n".join(lines) + "\n")
        return path
