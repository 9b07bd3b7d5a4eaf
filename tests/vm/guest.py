#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs inside the virtual machine, as root, started by systemd: installs Slipway as a site would and checks what only a
machine of one's own can show (rooms/, by subject). Each check is one line on the console, which vm_test.py reads:

    VM ok NAME [detail]      VM FAILED NAME: why      VM ack ID      VM done PHASE
"""
import pathlib
import subprocess
import time
import traceback

from rooms import bad_input, confinement, jobs, limits, restarts, rootless, units
from rooms.hands import USER, ended, ends, equal, job, output, say, sh, submit, units_are_up, wait_until

FIRST_BOOT = [
    units.installs, units.units_come_up, units.nothing_restarted, units.all_limits_are_held,
    jobs.an_image_is_imported, jobs.a_job_runs_in_a_container, jobs.the_exit_code_is_the_jobs, jobs.ranks_are_launched,
    jobs.step_cgroups_live_under_the_steps_unit,
    limits.the_memory_limit_bites, limits.memory_used_up_by_a_child_is_told_too, limits.a_fork_bomb_stays_in_its_job,
    limits.the_cpu_limit_bites, limits.out_of_memory_takes_the_whole_step, limits.what_a_step_used_is_kept,
    limits.ranks_see_the_cpuset_of_their_job, limits.a_stopped_job_is_frozen_and_goes_on,
    limits.a_device_opens_only_for_who_was_given_it, limits.nothing_is_beyond_this_node,
    limits.huge_pages_bite, limits.the_weight_of_input_and_output_is_set, limits.what_is_not_counted_is_said, limits.a_users_own_container_is_limited,
    confinement.a_layer_over_an_image_that_this_kernel_cannot_map_says_so, confinement.an_apparmor_profile_confines,
    *map(restarts.survives_restart_of, ["slipway-agent", "slipway-broker", "slipwayd"]),
    restarts.a_job_survives_daemon_reload_and_kill_of_all, restarts.a_job_survives_systemds_own_restart,
    restarts.jobs_need_no_message_bus,
    bad_input.a_folder_that_does_not_answer_fails_its_own_jobs_only,
    bad_input.a_user_without_an_account_on_the_node_is_who_the_controller_says,
    rootless.a_users_own_cluster_runs_by_his_systemd, rootless.its_limits_hold_as_far_as_the_system_delegates,
    rootless.it_outlives_its_daemons_and_goes_with_its_units,
    units.users_read_no_secret, units.the_agents_account_cannot_exchange_what_the_broker_trusts, units.nothing_is_left]

ALWAYS = [units.installs, units.units_come_up, jobs.an_image_is_imported]  # whatever else is left out by SLIPWAY_VM_ONLY


def until_the_lights_go_out():
    """Two running jobs, then submissions without end; the driver kills the machine among them."""
    boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    wrap = f"echo up; [ $(cat /proc/sys/kernel/random/boot_id) != {boot} ] || sleep 600"
    lost, again = (submit("-c", "1", "--mem", "100M", option, wrap=wrap) for option in ("--no-requeue", "--requeue"))
    for job_id in (lost, again):
        wait_until(lambda: f"{job(job_id)} runs", lambda: "up" in output(job_id))
    say("lost", lost)
    say("again", again)
    while True:
        done = sh("slipway submit --parsable --image tiny --begin now+2hours -o /dev/null --wrap true", USER)
        say("ack", int(done.stdout.split(";")[0]))


def second_boot(facts):
    def every_acknowledged_job_is_there():
        for job_id in facts["acks"]:
            equal(job(job_id)["state"], "PENDING")
        return f"{len(facts['acks'])} jobs"

    def a_job_that_the_power_loss_ended_is_NODE_FAIL():
        equal(ended(facts["lost"])["state"], "NODE_FAIL")

    def one_that_may_be_requeued_runs_again():
        ends(facts["again"], "COMPLETED", 0)
    return [units_are_up, units.nothing_restarted, every_acknowledged_job_is_there, a_job_that_the_power_loss_ended_is_NODE_FAIL,
            one_that_may_be_requeued_runs_again, jobs.a_job_runs_in_a_container,
            confinement.an_selinux_label_confines, units.nothing_is_left]


def run(checks):
    good = True
    for check in checks:
        began = time.monotonic()
        try:
            detail = check() or ""
            say("ok", check.__name__, f"({time.monotonic() - began:.1f} s)", detail)
        except Exception as error:  # a check that fails must not keep the next from telling something
            good = False
            say("FAILED", f"{check.__name__}:", error if isinstance(error, AssertionError) else traceback.format_exc())
            if check in (units.installs, units.units_come_up, jobs.an_image_is_imported):
                break
    if not good:
        for line in sh("journalctl --no-pager -o short-monotonic -u 'slipway*' | tail -n 120", check=False).stdout.splitlines():
            say("log", line)
    return good


def main():
    words = dict(word.split("=", 1) for word in pathlib.Path("/proc/cmdline").read_text().split() if word.startswith("vm."))
    if words["vm.phase"] == "1":
        only = words.get("vm.only")
        good = run([check for check in FIRST_BOOT if not only or check in ALWAYS or only in f"{check.__module__}.{check.__name__}"])
        say("done", 1)
        if good and not only:
            until_the_lights_go_out()
    else:
        run(second_boot({"lost": int(words["vm.lost"]), "again": int(words["vm.again"]),
                         "acks": [int(i) for i in words["vm.acks"].split(",")]}))
        say("done", 2)


if __name__ == "__main__":
    try:
        main()
    except Exception:
        say("FAILED", "guest.py:", traceback.format_exc())
    subprocess.run(["systemctl", "--no-block", "poweroff"])
