# SPDX-License-Identifier: Apache-2.0
"""Devices that open for who was given them, and for nobody else."""
import contextlib
import json
import pathlib
import shutil

from rooms.hands import ETC, USER, ends, equal, is_drained, is_well, output, sh, submit, units_are_up, wait_until

TREE, VERSION = pathlib.Path("/var/lib/made-up-host"), "550.54.14"


def a_device_opens_only_for_who_was_given_it():
    """A node that anybody may open by its mode; its number is that of /dev/loop-control."""
    sh("modprobe loop; rm -f /dev/fenced; mknod -m 666 /dev/fenced c 10 237")
    wrap = "(: < /dev/fenced) && echo opened; (: < /dev/null) && echo null"
    refused = submit("--bind", "/dev/fenced", wrap=wrap)
    ends(refused, "COMPLETED", 0)
    equal([line for line in output(refused).splitlines() if line in ("opened", "null")], ["null"])
    assert "not permitted" in output(refused), output(refused)
    pathlib.Path("/etc/cdi").mkdir(exist_ok=True)
    pathlib.Path("/etc/cdi/vm.json").write_text(json.dumps(
        {"cdiVersion": "0.6.0", "kind": "vm.test/fenced",
         "devices": [{"name": "0", "containerEdits": {"deviceNodes": [{"path": "/dev/fenced"}]}}]}))
    given = submit("--device", "vm.test/fenced=0", wrap=wrap)
    ends(given, "COMPLETED", 0)
    assert "opened" in output(given), output(given)
    pathlib.Path("/etc/cdi/vm.json").unlink()


def make_tree():
    """A host with two GPUs by a driver's files; behind their nodes are devices that anybody may open by their mode and no
    step by itself (agent.devices): loop-control, the first console."""
    def put(path, text):
        (TREE / path).parent.mkdir(parents=True, exist_ok=True)
        (TREE / path).write_text(text)
    put("proc/driver/nvidia/version", f"NVRM version: NVIDIA UNIX x86_64 Kernel Module  {VERSION}  Thu Feb 22\n")
    (TREE / "dev").mkdir()
    sh("modprobe loop")
    for minor, number in enumerate(("10 237", "4 1")):
        pci = f"0000:0{minor + 1}:00.0"
        put(f"proc/driver/nvidia/gpus/{pci}/information", f"Model: \t NVIDIA A100-SXM4-40GB\nGPU UUID: \t GPU-{minor}\nDevice Minor: \t {minor}\n")
        put(f"sys/bus/pci/devices/{pci}/numa_node", f"{minor}\n")
        sh(f"mknod -m 666 {TREE}/dev/nvidia{minor} c {number}")
    for node in ("nvidiactl", "nvidia-uvm"):
        sh(f"mknod -m 666 {TREE}/dev/{node} c 1 3")
    library = TREE / f"usr/lib/x86_64-linux-gnu/libcuda.so.{VERSION}"
    library.parent.mkdir(parents=True)
    shutil.copy("/mnt/site/libcuda.so", library)


def restart_agent(gpus):
    def known():
        return json.loads(sh("slipway nodes --json", USER).stdout)["nodes"][0]
    sh("systemctl restart slipway-agent")
    wait_until(lambda: f"the node has {gpus} GPUs: {known()} {sh('journalctl --no-pager -n 30 -u slipway-agent').stdout}", lambda: ("a100" in json.dumps(known()["gpus"])) == (gpus > 0))
    units_are_up()


@contextlib.contextmanager
def two_gpus():
    make_tree()
    setting = ETC / "conf.d/made-up-host.toml"
    setting.parent.mkdir(exist_ok=True)
    setting.write_text(f'[agent]\nhost_root = "{TREE}"\n')
    try:
        restart_agent(gpus=2)
        yield
    finally:
        setting.unlink()
        shutil.rmtree(TREE)
        restart_agent(gpus=0)


def a_device_of_one_rank_is_refused_to_the_other():
    """A GPU for each rank of one step, in one container that has both nodes: the kernel opens to each its own."""
    with two_gpus():
        tries = "echo $SLIPWAY_RANK has $CUDA_VISIBLE_DEVICES; for i in 0 1; do (: < /dev/nvidia$i) && echo $SLIPWAY_RANK opened GPU-$i; done; true"
        said = sh(f"slipway launch -n2 -c1 --gpus-per-task 1 --mpi=none --image tiny -- sh -c '{tries}'", USER)
        lines = sorted(said.stdout.splitlines())
        has = [line.replace("has", "opened") for line in lines if " has " in line]
        equal(len(set(line.split()[2] for line in has)), 2)
        equal([line for line in lines if " opened " in line], has)
        equal(said.stderr.count("not permitted"), 2)
    return f"{has}"


def a_fatal_xid_drains_the_node_by_name_until_the_gpu_was_reset():
    """The kernel's log is hidden from the agent's unit, which may open neither it nor become anybody who may: it is handed over."""
    with two_gpus():
        pathlib.Path("/dev/kmsg").write_text("NVRM: Xid (PCI:0000:01:00): 79, pid=7, GPU has fallen off the bus.\n")
        reason = is_drained("GPU 0000:01:00.0: Xid 79")
        # What an administrator does once it was reset (docs/gpu.md).
        sh("dmesg --clear; systemctl restart slipway-agent")
        is_well()
    pid = sh("systemctl show -P MainPID slipway-agent").stdout.strip()
    status = dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
    equal({name: int(status[name], 16) for name in ("CapEff", "CapPrm", "CapBnd", "CapAmb")}, dict.fromkeys(("CapEff", "CapPrm", "CapBnd", "CapAmb"), 0))
    return reason
