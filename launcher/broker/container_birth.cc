// SPDX-License-Identifier: Apache-2.0
#include "launcher/broker/container_birth.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <sys/prctl.h>

#include <csignal>

#include "base/os/mount.h"

namespace slipway {
namespace {

constexpr char kUnshared = 'u', kMapped = 'm', kReady = 'r', kGo = 'g';

// Inside: every id becomes the user's. Capabilities are left in the new user namespace alone, where the
// container's code needs them; towards the host there are none.
void BecomeUser(const UserIds& who, const Gate& gate) {
  gate.Check(::setresuid(who.uid, who.uid, who.uid) == 0, "setresuid");
  gate.Require(ProveUser(who));
  LeaveSessionKeyring();
  gate.Check(::prctl(PR_SET_DUMPABLE, 0) == 0, "prctl(PR_SET_DUMPABLE)");
}

void EnterNewNamespaces(const BirthPlan& plan, const Gate& gate) {
  gate.Check(::setresuid(plan.identity.uid, 0, 0) == 0, "setresuid");
  gate.Check(::prctl(PR_SET_DUMPABLE, 0) == 0, "prctl(PR_SET_DUMPABLE)");
  if (plan.prepare) gate.Require(plan.prepare());
  gate.Check(::unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWIPC) == 0, "unshare(user, mount, ipc)");
  gate.Say(kUnshared);
  gate.Await(kMapped);
}

// The order matters: the mount namespace is copied after the user namespace was entered, so its owner differs
// from the original's and the kernel locks what it copies.
void EnterJobNamespaces(const JobNamespaces& job, const Gate& gate) {
  gate.Check(::setns(job.ipc.get(), CLONE_NEWIPC) == 0, "setns(ipc)");
  gate.Check(::setns(job.user.get(), CLONE_NEWUSER) == 0, "setns(user)");
  gate.Check(::unshare(CLONE_NEWNS) == 0, "unshare(mount)");
}

}  // namespace

Result<HalfBorn> BearContainer(const BirthPlan& plan, const ContainerEntry& entry) {
  std::vector<int> keep{plan.birth.control_fd};
  if (plan.join != nullptr) keep.insert(keep.end(), {plan.join->user.get(), plan.join->ipc.get()});
  HalfBornOptions options{{.cgroup_fd = plan.cgroup_fd}, keep, plan.surroundings, plan.log_fd};
  HalfBorn child = TRY(HalfBorn::Make(options, [&](const Gate& gate) {
    gate.Require(TakeGroups(plan.identity));  // with euid still 0: what follows is root's making
    if (plan.join == nullptr) {
      EnterNewNamespaces(plan, gate);
    } else {
      EnterJobNamespaces(*plan.join, gate);
      ::close(plan.join->user.get());
      ::close(plan.join->ipc.get());
    }
    BecomeUser(plan.identity, gate);
    if (plan.surroundings == Surroundings::kCallers)
      gate.Check(::prctl(PR_SET_PDEATHSIG, SIGKILL) == 0, "prctl(PR_SET_PDEATHSIG)");
    gate.Say(kReady);
    gate.Await(kGo);
    ::close(gate.fd());
    entry.run_init(plan.birth);
  }));
  if (plan.join == nullptr) {
    TRY(child.Hear(kUnshared));
    TRY(WriteMaps(child.pid(), plan.identity));
    if (plan.confirm) TRY(plan.confirm());
    TRY(child.Tell(kMapped));
    if (plan.confirm) TRY(child.Tell(kGo));
  }
  TRY(child.Hear(kReady));
  return child;
}

Result<HalfBorn> BearRootless(const BirthPlan& plan, const ContainerEntry& entry) {
  HalfBornOptions options{
      {.cgroup_fd = plan.cgroup_fd}, {plan.birth.control_fd}, plan.surroundings, plan.log_fd};
  HalfBorn child = TRY(HalfBorn::Make(options, [&](const Gate& gate) {
    gate.Say(kReady);
    gate.Await(kGo);
    ::close(gate.fd());
    entry.run_rootless(plan.birth);
  }));
  TRY(child.Hear(kReady));
  return child;
}

Result<JobNamespaces> NamespacesOf(pid_t pid) {
  JobNamespaces job;
  job.user = TRY(Open(Cat("/proc/", pid, "/ns/user"), O_RDONLY));
  job.ipc = TRY(Open(Cat("/proc/", pid, "/ns/ipc"), O_RDONLY));
  return job;
}

}  // namespace slipway
