# SPDX-License-Identifier: Apache-2.0
"""What this kernel adds to or lacks for a container: maps of ids, AppArmor, SELinux."""
import pathlib

from rooms.hands import HOME, USER, ends, equal, output, sh, submit
from rooms.jobs import a_job_runs_in_a_container

PROFILE = """
profile slipway-vm flags=(attach_disconnected, mediate_deleted) {
  file,
  capability,
  signal,
  ptrace,
  unix,
  network,
  deny /tmp/forbidden r,
}
"""


def a_layer_over_an_image_that_this_kernel_cannot_map_says_so():
    """Debian 12's squashfs takes no map of ids: root's files in the store's image stay root's, and the user is told."""
    job_id = submit("--writable-tmpfs", wrap="echo x > /tmp/made && cat /tmp/made; test -O /bin || echo not mine")
    ends(job_id, "COMPLETED", 0)
    told = output(job_id)
    assert "x\nnot mine" in told and "Linux 6.2 or newer" in told, told


def an_apparmor_profile_confines():
    """Debian's kernel has AppArmor. The label is on the program in the container, and what cannot be had is refused."""
    equal(pathlib.Path("/sys/module/apparmor/parameters/enabled").read_text().strip(), "Y")
    profile = pathlib.Path("/etc/apparmor.d/slipway-vm")
    profile.write_text(PROFILE)
    sh(f"apparmor_parser -r {profile}")
    (HOME / "forbidden").write_text("secret\n")
    for way in ("brokered", "rootless"):
        start = f"slipway exec --way {way} --bind {HOME}:/tmp"
        label = sh(f"{start} --security apparmor:slipway-vm /var/tmp/image cat /proc/self/attr/current", USER).stdout
        equal(label, "slipway-vm (enforce)\n")
        equal(sh(f"{start} /var/tmp/image cat /tmp/forbidden", USER).stdout, "secret\n")
        denied = sh(f"{start} --security apparmor:slipway-vm /var/tmp/image cat /tmp/forbidden", USER, check=False)
        assert denied.returncode == 1 and "Permission denied" in denied.stderr, f"{way}: {denied}"
        unknown = sh(f"{start} --security apparmor:nobodys /var/tmp/image true", USER, check=False)
        assert unknown.returncode == 125 and "AppArmor label 'nobodys'" in unknown.stderr, f"{way}: {unknown}"
    sh(f"apparmor_parser -R {profile}")


def an_selinux_label_confines():
    """The third boot has SELinux in AppArmor's place, without a policy until now."""
    image = "/var/tmp/image"
    sh("checkpolicy -U allow -c 33 -o /run/policy /mnt/site/selinux.conf")
    pathlib.Path("/sys/fs/selinux/load").write_bytes(pathlib.Path("/run/policy").read_bytes())
    pathlib.Path("/sys/fs/selinux/enforce").write_text("1")
    (HOME / "written").write_text("whole\n")
    sh(f"chown {USER} {HOME}/written")
    write = "sh -c 'echo changed > /tmp/written'"
    for way in ("brokered", "rootless"):
        start = f"slipway exec --way {way} --bind {HOME}:/tmp"
        security = f"{start} --security selinux:system_u:system_r:"
        label = sh(f"{security}contained_t {image} cat /proc/self/attr/current", USER).stdout
        equal(label.strip("\0\n"), "system_u:system_r:contained_t")
        denied = sh(f"{security}contained_t {image} {write}", USER, check=False)
        assert denied.returncode != 0 and "Permission denied" in denied.stderr, f"{way}: {denied}"
        equal((HOME / "written").read_text(), "whole\n")
        sh(f"{start} {image} {write} && echo whole > {HOME}/written", USER)
        unknown = sh(f"{security}nobodys_t {image} true", USER, check=False)
        assert unknown.returncode == 125 and "SELinux label 'system_u:system_r:nobodys_t'" in unknown.stderr, f"{way}: {unknown}"
        refused = sh(f"{security}refused_t {image} true", USER, check=False)
        assert refused.returncode in (125, 126) and refused.stderr, f"{way}: {refused}"
        told = refused.stderr.strip()
    a_job_runs_in_a_container()
    pathlib.Path("/sys/fs/selinux/enforce").write_text("0")
    return told
