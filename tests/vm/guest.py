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

from rooms import bad_input, confinement, delegation, devices, disks, fencing, jobs, limits, memory, restarts, rootless, sharing, units
from rooms.hands import USER, ended, ends, equal, job, lose_patience, output, say, sh, submit, units_are_up, wait_until

FIRST_BOOT = [
    units.installs, units.units_come_up, units.nothing_restarted, units.all_limits_are_held, units.the_host_check_is_content, units.the_daemons_are_hardly_exposed,
    jobs.an_image_is_imported, jobs.a_job_runs_in_a_container, jobs.the_exit_code_is_the_jobs, jobs.ranks_are_launched,
    jobs.step_cgroups_live_under_the_steps_unit,
    limits.the_memory_limit_bites, limits.memory_used_up_by_a_child_is_told_too, limits.a_fork_bomb_stays_in_its_job,
    limits.the_cpu_limit_bites, limits.out_of_memory_takes_the_whole_step, memory.swap_is_nobodys_unless_the_site_gives_it, memory.reclaim_begins_at_the_mark,
    memory.a_jobs_memory_is_beside_its_processors, limits.what_a_step_used_is_kept,
    limits.ranks_see_the_cpuset_of_their_job, limits.a_stopped_job_is_frozen_and_goes_on,
    devices.a_device_opens_only_for_who_was_given_it, devices.a_device_of_one_rank_is_refused_to_the_other, devices.a_fatal_xid_drains_the_node_by_name_until_the_gpu_was_reset, limits.nothing_is_beyond_this_node,
    limits.huge_pages_bite, sharing.the_weight_of_input_and_output_bites, sharing.the_weight_of_processors_bites, limits.what_is_not_counted_is_said, limits.a_users_own_container_is_limited,
    confinement.a_layer_over_an_image_that_this_kernel_cannot_map_says_so, confinement.an_apparmor_profile_confines,
    *map(restarts.survives_restart_of, ["slipway-agent", "slipway-broker", "slipwayd"]),
    restarts.a_job_survives_daemon_reload_and_kill_of_all, restarts.a_job_survives_systemds_own_restart,
    restarts.jobs_need_no_message_bus, restarts.a_restart_of_the_steps_unit_ends_its_steps_by_name,
    bad_input.a_folder_that_does_not_answer_fails_its_own_jobs_only,
    bad_input.a_user_without_an_account_on_the_node_is_who_the_controller_says,
    bad_input.a_cgroup_that_another_program_took_away_is_named_and_its_job_ends,
    disks.a_full_run_folder_refuses_by_name_and_drains_the_node_until_it_has_room,
    disks.a_state_folder_that_is_read_only_drains_the_node_until_it_is_not,
    disks.an_image_store_that_is_read_only_drains_the_node_until_it_is_not,
    fencing.a_silent_node_is_switched_off_over_the_network_from_within_the_unit,
    rootless.a_users_own_cluster_runs_by_his_systemd, rootless.its_limits_hold_as_far_as_the_system_delegates,
    rootless.it_outlives_its_daemons_and_goes_with_its_units,
    delegation.a_users_cluster_without_units_has_its_cgroups_from_his_systemd, rootless.nothing_of_hers_is_left,
    delegation.roots_cluster_without_units_leaves_systemds_tree_to_systemd,
    units.users_read_no_secret, units.the_agents_account_cannot_exchange_what_the_broker_trusts, units.nothing_is_left]

ALWAYS = [units.installs, units.units_come_up, jobs.an_image_is_imported]  # whatever else is left out by SLIPWAY_VM_ONLY


def two_running_jobs():
    """One that may not be started again and one that may; both end at once in another boot."""
    boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    wrap = f"echo up; [ $(cat /proc/sys/kernel/random/boot_id) != {boot} ] || sleep 6000"
    lost, again = (submit("-c", "1", "--mem", "100M", option, wrap=wrap) for option in ("--no-requeue", "--requeue"))
    for job_id in (lost, again):
        wait_until(lambda: f"{job(job_id)} runs", lambda: "up" in output(job_id))
    say("lost", lost)
    say("again", again)


def until_the_lights_go_out():
    """Submissions without end; the driver kills the machine among them."""
    while True:
        done = sh("slipway submit --parsable --image tiny --begin now+20hours -o /dev/null --wrap true", USER)
        say("ack", int(done.stdout.split(";")[0]))


def of_the_boot_before(what, facts):
    """What became of the jobs that ran when it ended."""
    def lost():
        equal(ended(facts["lost"])["state"], "NODE_FAIL")

    def again():
        ends(facts["again"], "COMPLETED", 0)
    lost.__name__ = f"a_job_that_{what}_ended_is_NODE_FAIL"
    again.__name__ = f"a_job_that_{what}_ended_runs_again_where_it_may"
    return [lost, again]


def third_boot(facts):
    def every_acknowledged_job_is_there():
        for job_id in facts["acks"]:
            equal(job(job_id)["state"], "PENDING")
        return f"{len(facts['acks'])} jobs"
    return [units_are_up, units.nothing_restarted, every_acknowledged_job_is_there, *of_the_boot_before("the_power_loss", facts),
            jobs.a_job_runs_in_a_container, confinement.an_selinux_label_confines, units.nothing_is_left]


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
            tell_of_the_failure(time.monotonic() - began)
            if check in (units.installs, units.units_come_up, jobs.an_image_is_imported):
                break
            lose_patience()
    return good


def tell_of_the_failure(lasted_s):
    """At once: who runs this may not wait for the end."""
    say("log", "the nodes:", sh("slipway nodes --json", check=False).stdout[:1000])
    since = f"--since='-{lasted_s + 60:.0f} seconds'"
    for line in sh(f"journalctl --no-pager -o short-monotonic {since} -u 'slipway*' | cut -c1-300 | tail -n 120", check=False).stdout.splitlines():
        say("log", line)


def main():
    words = dict(word.split("=", 1) for word in pathlib.Path("/proc/cmdline").read_text().split() if word.startswith("vm."))
    phase, only = int(words["vm.phase"]), words.get("vm.only")
    facts = {"lost": int(words.get("vm.lost", 0)), "again": int(words.get("vm.again", 0)),
             "acks": [int(i) for i in words.get("vm.acks", "").split(",") if i]}
    checks = {1: [check for check in FIRST_BOOT if not only or check in ALWAYS or any(word in f"{check.__module__}.{check.__name__}" for word in only.split(","))],
              2: [units_are_up, units.nothing_restarted, *of_the_boot_before("the_reboot", facts)],
              3: third_boot(facts)}
    good = run(checks[phase])
    say("done", phase)
    if not good or (only and "boots" not in only) or phase == 3:
        return "poweroff"
    two_running_jobs()
    if phase == 2:
        until_the_lights_go_out()
    return "reboot"


if __name__ == "__main__":
    switch = "poweroff"
    try:
        switch = main()
    except Exception:
        say("FAILED", "guest.py:", traceback.format_exc())
    subprocess.run(["systemctl", "--no-block", switch])
