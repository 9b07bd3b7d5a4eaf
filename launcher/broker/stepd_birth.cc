// SPDX-License-Identifier: Apache-2.0
#include "launcher/broker/stepd_birth.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>

namespace slipway {
namespace {

constexpr char kReady = 'r', kGo = 'g';

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
  HalfBornOptions options{{.cgroup_fd = plan.cgroup_fd}, keep, Surroundings::kOwn, plan.log_fd};
  HalfBorn child = TRY(HalfBorn::Make(options, [&](const Gate& gate) {
    if (plan.host_mounts_fd >= 0) gate.Check(::setns(plan.host_mounts_fd, CLONE_NEWNS) == 0, "setns(mount)");
    gate.Check(::chdir("/") == 0, "chdir /");
    if (!plan.rootless) gate.Require(BecomeForGood(plan.identity));
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
