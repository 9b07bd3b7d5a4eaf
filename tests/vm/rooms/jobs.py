# SPDX-License-Identifier: Apache-2.0
"""An image, and jobs that are ordinary."""
import pathlib
import pwd
import shutil

from rooms.hands import STEPS, UNITS, USER, ends, equal, output, sh, submit, tasks_cgroup, wait_until, waiting_job


def an_image_is_imported():
    """A shell and what the checks call, of this system's own: emulated, a whole distribution would take its minutes."""
    image = pathlib.Path("/var/tmp/image")
    for folder in ("usr/bin", "usr/lib", "usr/lib64", "etc", "proc", "sys", "dev", "tmp", "home", "run", "var", "root"):
        (image / folder).mkdir(parents=True)
    for link in ("bin", "lib", "lib64"):
        (image / link).symlink_to(f"usr/{link}")
    for program in ("sh", "cat", "dd", "grep", "id", "seq", "sleep", "tail", "timeout", "touch", "true"):
        path = pathlib.Path("/usr/bin") / program
        shutil.copy(path.resolve(), image / "usr/bin" / program)
        for word in sh(f"ldd {path}").stdout.split():
            if word.startswith("/") and not (image / word[1:]).exists():
                (image / word[1:]).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(word, image / word[1:])
    shutil.copy("/mnt/site/huge", image / "usr/bin/huge")
    sh(f"slipway image add {image} tiny", USER)


def a_job_runs_in_a_container():
    job_id = submit(wrap="id -u; cat /proc/1/comm; touch /usr/x 2>&1; grep Seccomp: /proc/self/status")
    ends(job_id, "COMPLETED", 0)
    assert output(job_id).startswith(f"{pwd.getpwnam(USER).pw_uid}\n"), output(job_id)
    assert "Read-only file system" in output(job_id) or "Permission denied" in output(job_id), output(job_id)


def the_exit_code_is_the_jobs():
    ends(submit(wrap="exit 9"), "FAILED", 9)


def ranks_are_launched():
    done = sh("slipway launch -n 2 --mpi=none --image tiny -- sh -c 'echo rank $SLURM_PROCID'", USER)
    equal(sorted(done.stdout.split()), ["0", "1", "rank", "rank"])


def step_cgroups_live_under_the_steps_unit():
    job_id, go = waiting_job("-c", "1", "--mem", "200M")
    tasks = tasks_cgroup(job_id)
    equal((tasks / "memory.max").read_text().strip(), str(200 << 20))
    equal((tasks / "cpu.max").read_text().strip(), "100000 100000")
    equal((tasks / "pids.max").read_text().strip(), "64")
    for unit in UNITS[1:]:
        pids = (STEPS.parent / f"{unit}.service/cgroup.procs").read_text().split()
        equal(len(pids), 1)
    go.touch()
    ends(job_id, "FAILED", 23)
    wait_until("the job's cgroup is gone", lambda: not list(STEPS.glob(f"{job_id}.*")))
