// SPDX-License-Identifier: Apache-2.0
#include "launcher/broker/stepd_birth.h"

#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <sys/prctl.h>

#include <algorithm>

namespace slipway {
namespace {

constexpr char kReady = 'r', kGo = 'g';

void BecomeUserForGood(const LaunchCredential& who, const Gate& gate) {
  std::vector<gid_t> groups(who.groups.begin(), who.groups.end());
  if (std::find(groups.begin(), groups.end(), who.gid) == groups.end()) groups.push_back(who.gid);
  gate.Check(::setgroups(groups.size(), groups.data()) == 0, "setgroups");
  gate.Check(::setresgid(who.gid, who.gid, who.gid) == 0, "setresgid");
  gate.Check(::setresuid(who.uid, who.uid, who.uid) == 0, "setresuid");
  if (::setresuid(-1, 0, -1) == 0 || ::setuid(0) == 0 || ::setresgid(-1, 0, -1) == 0) {
    gate.Require(Fail(Code::kInternal, "privilege could be taken back after it was dropped"));
  }
}

// Descriptors to the numbers stepd's command line names, the gate behind them and gone with the exec.
int PlaceDescriptors(const StepdPlan& plan, const Gate& gate) {
  constexpr int kClear = 16;
  int null_fd = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  gate.Check(null_fd >= 0, "open /dev/null");
  int sources[] = {null_fd,        null_fd,         plan.log_fd,   plan.spec_fd,
                   plan.listen_fd, plan.control_fd, plan.status_fd};
  int gate_fd = ::fcntl(gate.fd(), F_DUPFD_CLOEXEC, kClear);
  gate.Check(gate_fd >= 0, "fcntl(F_DUPFD_CLOEXEC)");
  for (int& fd : sources)
    gate.Check((fd = ::fcntl(fd, F_DUPFD_CLOEXEC, kClear)) >= 0, "fcntl(F_DUPFD_CLOEXEC)");
  for (int to = 0; to < 7; ++to) {
    // On the child's own gate number too: it has a copy above.
    if (::dup2(sources[to], to) < 0) Gate(gate_fd).Check(false, "dup2");
  }
  for (int fd = 7; fd < kClear; ++fd) ::close(fd);
  return gate_fd;
}

}  // namespace

Result<HalfBorn> BearStepd(const StepdPlan& plan) {
  std::string agent = std::to_string(plan.agent_uid);
  const char* argv[] = {plan.program.c_str(), "--spec-fd", "3",           "--listen-fd", "4",
                        "--control-fd",       "5",         "--status-fd", "6",           "--agent-uid",
                        agent.c_str(),        nullptr};
  const char* envp[] = {"PATH=/usr/bin:/bin", nullptr};
  std::vector<int> keep{plan.spec_fd,   plan.listen_fd, plan.control_fd,
                        plan.status_fd, plan.log_fd,    plan.host_mounts_fd};
  HalfBorn child =
      TRY(HalfBorn::Make({.cgroup_fd = plan.cgroup_fd}, keep, plan.log_fd, [&](const Gate& gate) {
        if (plan.host_mounts_fd >= 0)
          gate.Check(::setns(plan.host_mounts_fd, CLONE_NEWNS) == 0, "setns(mount)");
        gate.Check(::chdir("/") == 0, "chdir /");
        if (!plan.rootless) BecomeUserForGood(plan.credential, gate);
        LeaveSessionKeyring();
        gate.Check(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "prctl(PR_SET_NO_NEW_PRIVS)");
        Gate moved(PlaceDescriptors(plan, gate));
        moved.Say(kReady);
        moved.Await(kGo);
        ::execve(argv[0], const_cast<char**>(argv), const_cast<char**>(envp));
        moved.Require(ErrnoFail("starting", plan.program));
      }));
  TRY(child.Hear(kReady));
  return child;
}

}  // namespace slipway
