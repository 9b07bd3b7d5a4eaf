// SPDX-License-Identifier: Apache-2.0
#include "launcher/broker/stepd_birth.h"

#include <sched.h>
#include <sys/prctl.h>

namespace slipway {

Result<HalfBorn> BearStepd(const StepdPlan& plan) {
  std::string agent = std::to_string(plan.agent_uid);
  const char* argv[] = {plan.program.c_str(), "--spec-fd", "3",           "--listen-fd", "4",
                        "--control-fd",       "5",         "--status-fd", "6",           "--agent-uid",
                        agent.c_str(),        nullptr};
  const char* envp[] = {"PATH=/usr/bin:/bin", nullptr};
  std::vector<int> keep{plan.spec_fd, plan.listen_fd, plan.control_fd, plan.status_fd, plan.host_mounts_fd};
  HalfBornOptions options{{.cgroup_fd = plan.cgroup_fd}, keep, Surroundings::kOwn, plan.log_fd};
  return HalfBorn::Make(options, [&](const Gate& gate) {
    if (plan.host_mounts_fd >= 0) gate.Check(::setns(plan.host_mounts_fd, CLONE_NEWNS) == 0, "setns(mount)");
    gate.Check(::chdir("/") == 0, "chdir /");
    if (!plan.rootless) gate.Require(BecomeForGood(plan.identity));
    LeaveSessionKeyring();
    gate.Check(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "prctl(PR_SET_NO_NEW_PRIVS)");
    Gate moved = gate.Place({plan.spec_fd, plan.listen_fd, plan.control_fd, plan.status_fd}, 3);
    moved.Say(HalfBorn::kReady);
    moved.Await(HalfBorn::kGo);
    ::execve(argv[0], const_cast<char**>(argv), const_cast<char**>(envp));
    moved.Require(ErrnoFail("starting", plan.program));
  });
}

}  // namespace slipway
