# SPDX-License-Identifier: Apache-2.0
"""Daemons, systemd and its bus that are restarted, killed or gone under a running job."""
from rooms.hands import SMALL, ends, equal, job, sh, submit, units_are_up, waiting_job


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
