# SPDX-License-Identifier: Apache-2.0
"""Daemons, systemd and its bus that are restarted, killed or gone under a running job."""
from rooms.hands import SMALL, STEPS, USER, ended, ends, equal, job, sh, submit, units_are_up, waiting_job, wait_until


def survives_restart_of(unit):
    def check():
        job_id, go = waiting_job()
        sh(f"systemctl restart {unit}")
        units_are_up()
        equal(job(job_id)["state"], "RUNNING")
        go.touch()
        ends(job_id, "FAILED", 23)
    check.__name__ = f"a_job_survives_restart_of_{unit}"
    return check


def a_job_survives_daemon_reload_and_kill_of_all():
    job_id, go = waiting_job()
    sh("systemctl daemon-reload; systemctl kill -s KILL slipwayd slipway-agent slipway-broker")
    go.touch()
    units_are_up()
    ends(job_id, "FAILED", 23)


def a_job_survives_systemds_own_restart():
    job_id, go = waiting_job(*SMALL)
    sh("systemctl daemon-reexec")
    units_are_up()
    ends(submit(*SMALL, wrap="exit 4"), "FAILED", 4)
    go.touch()
    ends(job_id, "FAILED", 23)


def jobs_need_no_message_bus():
    """It is down while one job runs and another one starts and ends."""
    job_id, go = waiting_job(*SMALL)
    sh("systemctl stop dbus.socket dbus.service")
    try:
        equal(sh("systemctl is-active dbus.service", check=False).stdout.strip(), "inactive")
        ends(submit(*SMALL, wrap="exit 4"), "FAILED", 4)
        go.touch()
        ends(job_id, "FAILED", 23)
    finally:
        sh("systemctl start dbus.socket dbus.service")


def a_restart_of_the_steps_unit_ends_its_steps_by_name():
    """Of the four units the one that jobs need: they end, it is said why, and the node is as new."""
    def killed():
        sh("systemctl kill --kill-whom=main -s KILL slipway-steps")
        wait_until("systemd noticed", lambda: sh("systemctl show -P NRestarts slipway-steps").stdout.strip() == "1")
    for how in (lambda: sh("systemctl restart slipway-steps"), killed):
        job_id, _ = waiting_job(*SMALL, "--no-requeue")
        how()
        units_are_up()
        j = ended(job_id)
        assert "slipway-steps" in str(j), j
        wait_until("no step's cgroup", lambda: [p.name for p in STEPS.iterdir() if p.is_dir()] == ["holder"])
        equal(sh(f"pgrep -u {USER}", check=False).stdout, "")
        ends(submit(*SMALL, wrap="exit 4"), "FAILED", 4)
    sh("systemctl reset-failed slipway-steps")
    return f"{j['state']}: {j['steps'][0].get('reason')}"
