#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How fast images are made, beside tar2sqfs (-c zstd -X level=3) and `apptainer build`, on the same input in turns.

The input is a copy of this machine's own /usr, about --mbytes of it. Each round runs every contender once; printed are the
medians, the median of the pairwise ratios to tar2sqfs, processor time, the largest process's memory and the size. The
peer's command is SLIPWAY_PERF_APPTAINER (a prefix that enters a root that sees --folder; it runs once, it is slow). The
registry is Debian's docker-registry on loopback. Reports, never gates.
  SLIPWAY_BUILD=build/release tests/perf/images.py [--rounds 5]
"""
import argparse
import json
import os
import pathlib
import shlex
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

BIN = pathlib.Path(os.environ.get("SLIPWAY_BUILD", "build/release")).resolve() / "bin"
SLIPWAY = str(BIN / "slipway")


class Once:
    """One run: wall and processor seconds, the largest process's bytes."""

    def __init__(self, argv, output=None, stdin=None, pass_fds=()):
        self.size = 0
        if output is not None:
            pathlib.Path(output).unlink(missing_ok=True)
        begin = time.perf_counter()
        process = subprocess.Popen([str(a) for a in argv], stdin=stdin or subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE, pass_fds=pass_fds, env=dict(os.environ, NO_COLOR="1"))
        words = process.stderr.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        self.wall = time.perf_counter() - begin
        self.cpu = used.ru_utime + used.ru_stime
        self.memory = used.ru_maxrss * 1024
        if process.returncode != 0:
            raise SystemExit(f"{argv}: {process.returncode}\n{words.decode(errors='replace')}")
        if output is not None:
            self.size = pathlib.Path(output).stat().st_size


def copy_of_usr(root, bytes_max):
    """Files of this machine, in the order of their names, until there is enough."""
    total = files = 0
    for top in ("/usr/include", "/usr/share", "/usr/lib", "/usr/bin"):
        for folder, folders, names in os.walk(top):
            folders.sort()
            target = root / folder[1:]
            for name in sorted(names):
                source = os.path.join(folder, name)
                if os.path.islink(source):
                    target.mkdir(parents=True, exist_ok=True)
                    os.symlink(os.readlink(source), target / name)
                elif os.path.isfile(source) and os.access(source, os.R_OK):
                    size = os.path.getsize(source)
                    if size > 16 << 20 or total + size > bytes_max:
                        continue
                    target.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(source, target / name)
                    total += size
                    files += 1
    return total, files


def docker_archive(folder, tar):
    """What `docker save` writes, of one layer."""
    import hashlib
    import tarfile
    digest = hashlib.sha256()
    with open(tar, "rb") as f:
        while block := f.read(1 << 20):
            digest.update(block)
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {"Env": ["PATH=/usr/bin:/bin"]},
                         "rootfs": {"type": "layers", "diff_ids": ["sha256:" + digest.hexdigest()]}}).encode()
    manifest = json.dumps([{"Config": "config.json", "RepoTags": ["perf:1"], "Layers": ["layer.tar"]}]).encode()
    path = folder / "saved.tar"
    import io
    with tarfile.open(path, "w") as out:
        for name, data in (("config.json", config), ("manifest.json", manifest)):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            out.addfile(info, io.BytesIO(data))
        out.add(tar, "layer.tar")
    return path


class LoopbackRegistry:
    def __init__(self, folder):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.host = f"127.0.0.1:{s.getsockname()[1]}"
        config = {"version": 0.1, "log": {"level": "error"}, "storage": {"filesystem": {"rootdirectory": f"{folder}/registry"}},
                  "http": {"addr": self.host}}
        (folder / "registry.yml").write_text(json.dumps(config))  # JSON is YAML
        self.process = subprocess.Popen(["docker-registry", "serve", folder / "registry.yml"], stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        address = self.host.split(":")
        for _ in range(1200):
            with socket.socket() as s:
                if s.connect_ex((address[0], int(address[1]))) == 0:
                    return
            time.sleep(0.05)
        raise SystemExit("docker-registry did not come up")

    def close(self):
        self.process.kill()
        self.process.wait()


def download(host):
    """curl of the image's layer: the registry's share of a pull."""
    accept = "Accept: application/vnd.docker.distribution.manifest.v2+json"
    manifest = json.loads(subprocess.run(["curl", "-sf", "-H", accept, f"http://{host}/v2/perf/manifests/1"], check=True,
                                         capture_output=True).stdout)
    return ["curl", "-sf", "-o", "/dev/null", f"http://{host}/v2/perf/blobs/{manifest['layers'][0]['digest']}"]


def import_once(sif, output):
    """The store's confined program, as the broker starts it but for the uid."""
    with open(sif, "rb") as source, open(output, "w+b") as target:
        return Once([BIN / "slipway-import", "--in-fd", source.fileno(), "--out-fd", target.fileno()],
                    pass_fds=(source.fileno(), target.fileno()))


def measure(contenders, rounds):
    """{name: callable → Once}; all in turns. {name: [Once]}."""
    runs = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            runs[name].append(run())
    return runs


def show(runs, base, promises):
    print(f"| what | wall | processors | over {base} (wall) | (processors) | memory | size over it | promise |\n|---|--:|--:|--:|--:|--:|--:|---|")
    for name, list_ in runs.items():
        ratio = lambda field: statistics.median(getattr(a, field) / getattr(b, field) for a, b in zip(list_, runs[base]))
        median = lambda field: statistics.median(getattr(a, field) for a in list_)
        size = f"{ratio('size'):.3f}" if list_[0].size else ""
        print(f"| {name} | {median('wall'):.2f} s | {median('cpu'):.2f} s | {ratio('wall'):.2f} | {ratio('cpu'):.2f} | "
              f"{max(a.memory for a in list_) / 2**20:.0f} MiB | {size} | {promises.get(name, '')} |")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--mbytes", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", default="/var/tmp", help="where to work; the peer must see it")
    options = parser.parse_args()
    work = pathlib.Path(tempfile.mkdtemp(prefix="slipway-perf-", dir=options.folder))
    work.chmod(0o755)
    os.environ["SLIPWAY_CACHE"] = str(work / "cache")
    registry = None
    try:
        root, tar, sif = work / "root", work / "root.tar", work / "out.sif"
        total, files = copy_of_usr(root, options.mbytes << 20)
        subprocess.run(["tar", "--sort=name", "-C", root, "-cf", tar, "."], check=True)
        saved = docker_archive(work, tar)
        print(f"input: {total >> 20} MiB in {files} files; load {os.getloadavg()[0]:.1f} on {len(os.sched_getaffinity(0))} processors")

        def tar2sqfs():
            with open(tar, "rb") as f:
                return Once(["tar2sqfs", "-q", "-f", "-c", "zstd", "-X", "level=3", work / "out.sqfs"], work / "out.sqfs", f)
        def of_directory():
            return Once(["sh", "-c", f"tar --sort=name -C {root} -cf - . | tar2sqfs -q -f -c zstd -X level=3 {work}/out.sqfs"], work / "out.sqfs")
        contenders = {
            "tar2sqfs": tar2sqfs,
            "tar, then tar2sqfs (pipe)": of_directory,
            "directory → SIF": lambda: Once([SLIPWAY, "build", "-q", "-F", sif, root], sif),
            "docker-archive → SIF": lambda: Once([SLIPWAY, "pull", "-q", "-F", "--disable-cache", sif, f"docker-archive:{saved}"], sif),
            "import of a SIF (re-packed)": lambda: import_once(work / "in.sif", work / "imported.sqsh"),
        }
        Once([SLIPWAY, "build", "-q", "-F", work / "in.sif", root])
        promises = {"directory → SIF": "≤ 1.3, size ≤ 1.05, ≤ 300 MiB", "docker-archive → SIF": "≤ 1.3",
                    "import of a SIF (re-packed)": "≤ 1.3 × directory"}
        if all(map(shutil.which, ("docker-registry", "skopeo", "curl"))):
            registry = LoopbackRegistry(work)
            subprocess.run(["skopeo", "--insecure-policy", "copy", "-q", "--dest-tls-verify=false", f"docker-archive:{saved}",
                            f"docker://{registry.host}/perf:1"], check=True, capture_output=True)
            fetch = download(registry.host)

            def pull():
                shutil.rmtree(work / "cache", ignore_errors=True)
                return Once([SLIPWAY, "pull", "-q", "-F", "--no-https", sif, f"docker://{registry.host}/perf:1"], sif)
            contenders["download alone (curl)"] = lambda: Once(fetch)
            contenders["registry → SIF"] = pull
            promises["registry → SIF"] = "≤ 1.2 × (archive + download)"
        else:
            print("registry: needs docker-registry, skopeo and curl")
        runs = measure(contenders, options.rounds)
        show(runs, "tar2sqfs", promises)
        if registry:
            both = [p.wall / (a.wall + d.wall) for p, a, d in zip(runs["registry → SIF"], runs["docker-archive → SIF"], runs["download alone (curl)"])]
            print(f"registry → SIF over archive → SIF + download: {statistics.median(both):.2f} (promise: ≤ 1.2)")
        fair = [d.wall / t.wall for d, t in zip(runs["directory → SIF"], runs["tar, then tar2sqfs (pipe)"])]
        print(f"directory → SIF over tar | tar2sqfs (the directory is the input of both): {statistics.median(fair):.2f}")
        again = [i.wall / d.wall for i, d in zip(runs["import of a SIF (re-packed)"], runs["directory → SIF"])]
        print(f"import over directory → SIF: {statistics.median(again):.2f} (promise: ≤ 1.3)")
        inspect = [Once([SLIPWAY, "inspect", sif]).wall * 1000 for _ in range(21)]
        print(f"inspect: {statistics.median(inspect):.1f} ms (promise: ≤ 10)")
        peer(options, work, root, saved, runs)
    finally:
        if registry:
            registry.close()
        shutil.rmtree(work, ignore_errors=True)


def peer(options, work, root, saved, runs):
    prefix = os.environ.get("SLIPWAY_PERF_APPTAINER") or shutil.which("apptainer")
    if not prefix:
        return print("apptainer: not here; set SLIPWAY_PERF_APPTAINER to a command prefix")
    for name, source in (("directory → SIF", root), ("docker-archive → SIF", f"docker-archive:{saved}")):
        theirs = Once([*shlex.split(prefix), "build", "--force", work / "peer.sif", source], work / "peer.sif")
        ours = statistics.median(run.wall for run in runs[name])
        cpu = statistics.median(run.cpu for run in runs[name])
        print(f"apptainer build, {name}: {theirs.wall:.1f} s, {theirs.wall / ours:.1f} × ours (promise: ≥ 15); "
              f"processors {theirs.cpu:.1f} s, {theirs.cpu / cpu:.1f} ×")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
