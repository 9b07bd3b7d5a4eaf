#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A stock Debian 12 (its own kernel, systemd as PID 1) in a virtual machine: Slipway installed there as a site would.

What a container on a CI host cannot show: the units under a real systemd, delegation, limits that bite, daemons restarted
by systemd under a running job, power loss. The checks are in rooms/; guest.py runs inside, and talks over the serial
console; this program makes the disks, is the power switch, and fails when a check failed.

The root disk is made once per list of packages and kept in BUILD/vm; --disk makes it and no more. KVM is used where it works; software emulation
boots in about 15 s. SLIPWAY_VM_ACCEL=kvm|tcg decides otherwise; SLIPWAY_VM_KEEP=1 shows the whole console; SLIPWAY_VM_ONLY=WORD[,WORD] runs
the checks whose names (rooms.limits.huge_pages_bite) have one, and turns the power off only where a word is boots.

A busy host makes it slow, never wrong: nothing in here or inside has a bound that a slow machine meets. Where no machine can be
had it says why in one line and is skipped (exit code 77), which is not passed.
"""
import fcntl
import hashlib
import inspect
import os
import pathlib
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

import slipway_testing as t

SKIPPED = 77
HERE = pathlib.Path(__file__).resolve().parent
LIBRARIES = ["libgrpc++1.51", "libprotobuf32", "libsqlite3-0", "libhwloc15", "libseccomp2", "libcap2",
             "libsquashfs1", "libzstd1", "libssl3", "librnp0", "libyaml-0-2"]
PACKAGES = ["linux-image-cloud-amd64", "systemd", "systemd-sysv", "libpam-systemd", "udev", "dbus", "iproute2", "procps", "kmod", "python3", "apparmor", "checkpolicy",
            *LIBRARIES]
# The initrd gets what this machine needs; everything else is as Debian has it.
MODULES = ["virtio_pci", "virtio_blk", "ext4"]
# Emulated on a busy host, a unit may take minutes to come up; Debian's 90 s would be the test's failure and not the unit's.
PATIENT = "[Manager]\nDefaultTimeoutStartSec=15min\nDefaultTimeoutStopSec=15min\nDefaultDeviceTimeoutSec=15min\n"
WHOLE_S = 2700  # less than ctest's limit for it, which ends it without a word
SILENCE_S = 1200  # of the console; longer than anything that is waited for inside (rooms.hands.PATIENCE)
UNIT = """[Unit]
Description=Slipway's test
After=multi-user.target
[Service]
Type=exec
ExecStartPre=/usr/bin/mkdir -p /mnt/site
ExecStartPre=/usr/bin/mount -o ro /dev/vdb /mnt/site
ExecStart=/mnt/site/guest.py
[Install]
WantedBy=multi-user.target
"""


def mirrors():
    """Where this host gets its packages."""
    etc = pathlib.Path("/etc/apt")
    files = [etc / "sources.list", *sorted((etc / "sources.list.d").glob("*.list")), *sorted((etc / "sources.list.d").glob("*.sources"))]
    return [str(file) for file in files if file.exists() and "debian" in file.read_text()]


def apt_settings():
    wanted = ("Acquire::http::Proxy ", "Acquire::https::Proxy ", "Acquire::Check-Valid-Until ", "Acquire::Check-Date ")
    dump = subprocess.run(["apt-config", "dump", "--no-empty", "Acquire"], text=True, capture_output=True).stdout
    return [f"--aptopt={line}" for line in dump.splitlines() if line.startswith(wanted)]


def make_root(root):
    listed = "\\n".join(MODULES)
    argv = ["mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", "--format=directory", *apt_settings(),
            f"--include={','.join(PACKAGES)}",
            '--essential-hook=mkdir -p "$1/etc/initramfs-tools/conf.d" "$1/usr/share/initramfs-tools/modules.d"',
            '--essential-hook=echo MODULES=list >"$1/etc/initramfs-tools/conf.d/vm"',
            f'--essential-hook=printf "{listed}\\n" >"$1/usr/share/initramfs-tools/modules.d/vm"',
            "--dpkgopt=force-unsafe-io", "--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/locale/*",
            "--dpkgopt=path-exclude=/usr/share/man/*", "bookworm", str(root), *mirrors()]
    subprocess.run(argv, check=True, timeout=3000)
    (root / "etc/hostname").write_text("vm\n")
    (root / "etc/hosts").write_text("127.0.0.1 localhost vm\n")
    (root / "etc/systemd/system/vm-test.service").write_text(UNIT)
    for manager in ("system", "user"):
        folder = root / f"etc/systemd/{manager}.conf.d"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "vm.conf").write_text(PATIENT)
    subprocess.run(["chroot", root, "useradd", "--create-home", "--shell", "/bin/sh", "alice"], check=True)
    subprocess.run(["chroot", root, "systemctl", "--quiet", "enable", "vm-test.service"], check=True)
    # The console is the test's alone; nothing else of the system is turned off but what wakes up for maintenance.
    subprocess.run(["chroot", root, "systemctl", "--quiet", "mask", "serial-getty@ttyS0.service", "getty@tty1.service",
                    "apt-daily.timer", "apt-daily-upgrade.timer", "fstrim.timer", "e2scrub_all.timer"], check=True)


def make_disk(folder, disk, room_mb):
    used = int(subprocess.run(["du", "-sm", folder], text=True, capture_output=True, check=True).stdout.split()[0])
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", folder, disk, f"{used + used // 8 + room_mb}M"], check=True,
                   stdout=subprocess.DEVNULL)


def base_system():
    """(kernel, initrd, disk) of the stock system, made once per list of packages."""
    made_of = (PACKAGES, MODULES, UNIT, PATIENT, inspect.getsource(make_root), inspect.getsource(make_disk))
    key = hashlib.sha256(repr(made_of).encode()).hexdigest()[:12]
    cache = pathlib.Path(os.environ.get("SLIPWAY_VM_CACHE", t.BUILD / "vm"))
    cache.mkdir(parents=True, exist_ok=True)
    home = cache / f"debian12-{key}"
    with open(cache / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not home.exists():
            print("making the root disk of a stock Debian 12 (a few minutes, once)", flush=True)
            with tempfile.TemporaryDirectory(dir=cache, prefix="making-") as made:
                root, new = pathlib.Path(made) / "root", pathlib.Path(made) / "new"
                make_root(root)
                new.mkdir()
                for name in ("vmlinuz", "initrd.img"):
                    shutil.copy(next((root / "boot").glob(f"{name}-*")), new / name)
                make_disk(root, new / "root.img", 1024)
                new.rename(home)
    return home


def site_disk(folder):
    """What a site's admin has in hand: the installed tree, as its package would hold it."""
    site = folder / "site"
    t.run(["cmake", "--install", t.BUILD, "--prefix", "/usr", "--strip"], env={"DESTDIR": str(site / "stage")}, check=0)
    for name in ("guest.py", "selinux.conf"):
        shutil.copy(HERE / name, site / name)
    subprocess.run(["cc", "-O2", "-static", "-o", site / "huge", HERE / "huge.c"], check=True)
    subprocess.run(["cc", "-shared", "-fPIC", "-Wl,-soname,libcuda.so.1", "-o", site / "libcuda.so", t.SOURCE / "tools/gpu/fake_cuda.c"], check=True)
    shutil.copytree(HERE / "rooms", site / "rooms", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(HERE.parent / "support/silent_mount.py", site)
    (site / "guest.py").chmod(0o755)
    make_disk(site, folder / "site.img", 16)
    shutil.rmtree(site)


class Machine:
    """One power-on: lines of its console, and the switch."""

    def __init__(self, base, folder, accel, **words):
        # The first two boots have Debian's own AppArmor; the kernel takes one of the two.
        selinux = "security=selinux enforcing=0 " if words["phase"] == 3 else ""
        # An emulated timer is late on a busy host, and the kernel would take it for a broken one.
        append = "root=/dev/vda rw console=ttyS0 panic=-1 no_timer_check " + selinux + (" " if words["phase"] == "probe" else "quiet ") + " ".join(f"vm.{key}={value}" for key, value in words.items())
        argv = ["qemu-system-x86_64", "-accel", accel, "-cpu", "host" if accel == "kvm" else "max", "-m", "2048",
                # Two sockets with a processor and half of the memory each.
                "-smp", "2,sockets=2", "-object", "memory-backend-ram,id=m0,size=1G", "-numa", "node,nodeid=0,cpus=0,memdev=m0",
                "-object", "memory-backend-ram,id=m1,size=1G", "-numa", "node,nodeid=1,cpus=1,memdev=m1",
                "-display", "none", "-no-reboot", "-nic", "none", "-monitor", "none", "-serial", "stdio",
                "-kernel", base / "vmlinuz", "-initrd", base / "initrd.img", "-append", append]
        # What the machine's kernel has written to its disk outlives qemu in this host's page cache: a SIGKILL is the machine's loss of
        # power, not this host's, so flushes need not reach a real disk (cache=unsafe).
        for disk in ("root.img", "site.img"):
            argv += ["-drive", f"file={folder / disk},format=raw,if=virtio,cache=unsafe"]
        self.began = time.monotonic()
        self.process = subprocess.Popen([str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True, errors="replace")
        self.lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(line.rstrip())
        self.lines.put(None)

    def seconds(self):
        return time.monotonic() - self.began

    def told(self, silence=SILENCE_S):
        """Words of each of guest.py's lines, until the machine is off. A busy host is slow, a silent machine hangs."""
        while True:
            try:
                line = self.lines.get(timeout=silence)
            except queue.Empty:
                raise AssertionError(f"the machine said nothing for {silence} s") from None
            if line is None:
                return
            if os.environ.get("SLIPWAY_VM_KEEP"):
                print(f"    {line}", flush=True)
            if "VM " in line:
                yield line[line.index("VM ") + 3:].split(maxsplit=1) + [""]

    def power_off(self):
        self.process.kill()
        self.process.wait()


def accelerator(base, folder):
    """KVM where it works: a host may have /dev/kvm and yet nothing that runs in it."""
    wanted = os.environ.get("SLIPWAY_VM_ACCEL")
    if wanted or not os.access("/dev/kvm", os.W_OK):
        return wanted or "tcg,thread=multi"
    machine = Machine(base, folder, "kvm", phase="probe")
    deadline, line = time.monotonic() + 8, ""
    try:
        # The kernel's first comes within a second; what qemu says itself may be why it cannot.
        while line is not None and "Linux version" not in line:
            line = machine.lines.get(timeout=max(0, deadline - time.monotonic()))
        return "kvm" if line is not None else "tcg,thread=multi"
    except queue.Empty:
        return "tcg,thread=multi"
    finally:
        machine.power_off()


class Results:
    def __init__(self):
        self.good, self.bad, self.done = 0, [], set()

    def take(self, kind, rest):
        if kind == "ok":
            self.good += 1
            print(f"ok      {rest}", flush=True)
        elif kind == "FAILED":
            self.bad.append(rest)
            print(f"FAILED  {rest}", flush=True)
        elif kind == "log":
            print(f"    {rest}", flush=True)
        elif kind == "done":
            self.done.add(int(rest))


def boot(machine, results):
    """Until it is off: by itself, or because the power goes out among submissions. What the next boot is to know."""
    facts = {"acks": []}
    for kind, rest, *_ in machine.told():
        results.take(kind, rest)
        if kind == "ok" and rest.startswith("installs"):
            print(f"        {machine.seconds():.0f} s after power-on", flush=True)
        if kind in ("lost", "again"):
            facts[kind] = int(rest)
        if kind == "ack":
            facts["acks"].append(int(rest))
            if len(facts["acks"]) == 5:
                machine.power_off()
                print(f"ok      power off at {machine.seconds():.0f} s, after {len(facts['acks'])} acknowledged jobs", flush=True)
                return facts
    machine.process.wait(timeout=60)
    print(f"        it was off {machine.seconds():.0f} s after power-on", flush=True)
    return facts


def give_up(*_):
    raise AssertionError(f"it was not done within {WHOLE_S} s")


def why_not():
    if os.geteuid() != 0:
        return "needs root: to make the virtual machine's disk"
    if os.uname().machine != "x86_64":
        return "the virtual machine is an amd64 one"
    for program, package in (("qemu-system-x86_64", "qemu-system-x86"), ("mmdebstrap", "mmdebstrap"), ("mke2fs", "e2fsprogs")):
        if not shutil.which(program):
            return f"no {program} here (apt install {package})"
    return None


def said(line):
    """The last word, for whoever sees no more of a test than that (tools/test)."""
    print(line, flush=True)
    t.BUILD.joinpath("vm").mkdir(parents=True, exist_ok=True)
    t.BUILD.joinpath("vm/said").write_text(f"{line}\n")


def phases():
    """Of the machine, by number."""
    only = os.environ.get("SLIPWAY_VM_ONLY")
    return (1,) if only and "boots" not in only else (1, 2, 3)


def three_boots(base, folder, accel, results):
    """A first one with all checks, which ends in a reboot under running jobs; a second, whose power goes out; a third."""
    only = os.environ.get("SLIPWAY_VM_ONLY")
    facts = {"only": only} if only else {}
    for phase in phases():
        machine = Machine(base, folder, accel, phase=phase, **facts)
        try:
            found = boot(machine, results)
        finally:
            machine.power_off()
        if phase == phases()[-1] or "lost" not in found:
            return  # it had no reason to go on, and said which
        facts = {"lost": found.get("lost"), "again": found.get("again"), "acks": ",".join(map(str, found["acks"]))}


def main():
    if reason := why_not():
        said(f"vm: SKIPPED, nothing was shown: {reason}")
        return SKIPPED
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # as ctest ends a test that takes too long
    began, results = time.monotonic(), Results()
    base = base_system()
    if "--disk" in sys.argv:
        print(f"vm: the disk of the stock Debian is there after {time.monotonic() - began:.0f} s")
        return 0
    made = time.monotonic() - began
    with tempfile.TemporaryDirectory(dir=base.parent, prefix="run-") as name:
        folder = pathlib.Path(name)
        site_disk(folder)
        subprocess.run(["cp", "--sparse=always", base / "root.img", folder / "root.img"], check=True)
        accel = accelerator(base, folder)
        print(f"disks are ready after {time.monotonic() - began:.0f} s; accelerator {accel}", flush=True)
        signal.signal(signal.SIGALRM, give_up)
        signal.alarm(max(1, WHOLE_S - int(time.monotonic() - began)))
        try:
            three_boots(base, folder, accel, results)
        except AssertionError as error:
            results.bad.append(str(error))
            print(f"FAILED  {error}")
        signal.alarm(0)
    whole = set(phases())
    if not results.bad and results.done != whole:
        results.bad.append(f"it went off before it was done: {sorted(whole - results.done)}")
        print(f"FAILED  {results.bad[-1]}")
    said(f"vm: {results.good} checks hold, {len(results.bad)} do not; {time.monotonic() - began:.0f} s, of which {made:.0f} s were for the "
         f"stock Debian; {accel.split(',')[0]}, load {os.getloadavg()[1]:.1f}")
    return 1 if results.bad else 0


if __name__ == "__main__":
    sys.exit(main())
