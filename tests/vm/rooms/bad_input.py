# SPDX-License-Identifier: Apache-2.0
"""What a node meets that it has not asked for: each has its end, and a line that names it."""
import pathlib
import pwd

from silent_mount import mount_silent, unmount_silent

from rooms.hands import HOME, SMALL, USER, ended, ends, equal, sh, submit, tasks_cgroup, wait_until, waiting_job


def a_folder_that_does_not_answer_fails_its_own_jobs_only():
    folder = HOME / "silent"
    folder.mkdir()
    sh(f"chown {USER} {folder}")
    sh("modprobe fuse")
    fd = mount_silent(folder)
    try:
        stuck = submit(*SMALL, "--chdir", str(folder), wrap="echo never")
        ends(submit(*SMALL, wrap="exit 4"), "FAILED", 4)  # beside it
        j = ended(stuck)
        equal((j["state"], j["exit_code"]), ("FAILED", 125))
        assert f"{folder} does not answer on node vm" in str(j), j
    finally:
        unmount_silent(folder, fd)
    wait_until("nothing of it is left", lambda: sh(f"pgrep -u {USER}", check=False).stdout == "")


def a_user_without_an_account_on_the_node_is_who_the_controller_says():
    """The credential brings uid, groups and name: a node needs no account."""
    sh("useradd --create-home --shell /bin/sh bob")
    uid = pwd.getpwnam("bob").pw_uid
    out = pathlib.Path("/home/bob/out")
    words = f"setpriv --reuid bob --regid bob --init-groups env HOME=/home/bob USER=bob slipway submit --parsable --hold --image tiny -o {out}"
    job_id = int(sh(f"cd /home/bob && {words} --wrap 'id -u; id -un'").stdout.split(";")[0])
    sh("userdel bob")
    sh(f"slipway release {job_id}")
    ended(job_id, by=None)
    equal(out.read_text().split(), [str(uid), "bob"])


def a_cgroup_that_another_program_took_away_is_named_and_its_job_ends():
    """All processes of a running step are moved out of its cgroups, and those removed: it can be cancelled all the same."""
    running, _ = waiting_job(*SMALL)
    of_job, elsewhere = tasks_cgroup(running).parent.parent, pathlib.Path("/sys/fs/cgroup/elsewhere")
    elsewhere.mkdir()

    def is_taken_away():
        sh(f"for p in $(cat $(find {of_job} -name cgroup.procs)); do echo $p >{elsewhere}/cgroup.procs; done; find {of_job} -depth -type d -exec rmdir {{}} +", check=False)
        return not of_job.exists()
    wait_until("its cgroups are gone", is_taken_away)
    ends(submit(*SMALL, wrap="exit 4"), "FAILED", 4)  # beside it
    sh(f"slipway cancel {running}", USER)
    equal(ended(running)["state"], "CANCELLED")
    wait_until("nothing of it is left", lambda: sh(f"pgrep -u {USER}", check=False).stdout == "")
    elsewhere.rmdir()
    lines = [line for line in sh("journalctl --no-pager -u slipway-broker -n 200").stdout.splitlines() if f"{running}.1" in line and "cgroup" in line]
    assert lines, "no line names it"
    return lines[-1][-200:]
