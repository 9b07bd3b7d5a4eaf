// SPDX-License-Identifier: Apache-2.0
#include "launcher/broker/container_birth.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>

#include <csignal>
#include <cstdlib>

#include "base/os/mount.h"

namespace slipway {
namespace {

constexpr char kMapped = 'm';

// Inside: every id becomes the user's. Capabilities are left in the new user namespace alone, where the
// container's code needs them; towards the host there are none.
void BecomeUser(const UserIds& who, const Gate& gate) {
  gate.Check(::setresuid(who.uid, who.uid, who.uid) == 0, "setresuid");
  gate.Require(ProveUser(who));
  LeaveSessionKeyring();
  gate.Check(::prctl(PR_SET_DUMPABLE, 0) == 0, "prctl(PR_SET_DUMPABLE)");
}

// Nobody may change his groups in the new user namespace, so the child has to be born with them: we wear them
// for that moment. Never the user's id, by which he could signal us.
Result<HalfBorn> MakeWithGroupsOf(const UserIds& who, const HalfBornOptions& options,
                                  const std::function<void(const Gate&)>& body) {
  auto worn = TakeGroups(who);
  auto child = worn ? HalfBorn::Make(options, body) : Failure(std::move(worn).error());
  for (int tries = 0; !TakeGroups({0, 0, {}}); ++tries) {
    if (tries == 3) std::abort();  // root's process with a user's groups must not go on
  }
  return child;
}

// The order matters: the mount namespace is copied after the user namespace was entered, so its owner differs
// from the original's and the kernel locks what it copies.
void EnterJobNamespaces(const JobNamespaces& job, const Gate& gate) {
  gate.Check(::setns(job.ipc.get(), CLONE_NEWIPC) == 0, "setns(ipc)");
  gate.Check(::setns(job.user.get(), CLONE_NEWUSER) == 0, "setns(user)");
  gate.Check(::unshare(CLONE_NEWNS) == 0, "unshare(mount)");
  ::close(job.user.get());
  ::close(job.ipc.get());
}

}  // namespace

Result<HalfBorn> BearContainer(const BirthPlan& plan, const ContainerEntry& entry) {
  std::vector<int> keep = plan.birth.task_cgroups;
  keep.push_back(plan.birth.control_fd);
  if (plan.join != nullptr) keep.insert(keep.end(), {plan.join->user.get(), plan.join->ipc.get()});
  HalfBornOptions options{{.cgroup_fd = plan.cgroup_fd}, keep, plan.surroundings, plan.log_fd};
  options.takes_limits = static_cast<bool>(plan.prepare);
  if (plan.join == nullptr) options.clone.flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWIPC;
  if (plan.birth.pid_namespace) options.clone.flags |= CLONE_NEWPID;
  HalfBorn child = TRY(MakeWithGroupsOf(plan.identity, options, [&](const Gate& gate) {
    if (plan.join != nullptr) EnterJobNamespaces(*plan.join, gate);
    gate.Await(kMapped);
    BecomeUser(plan.identity, gate);
    if (plan.surroundings == Surroundings::kCallers)
      gate.Check(::prctl(PR_SET_PDEATHSIG, SIGKILL) == 0, "prctl(PR_SET_PDEATHSIG)");
    gate.Say(HalfBorn::kReady);
    gate.Await(HalfBorn::kGo);
    ::close(gate.fd());
    entry.run_init(plan.birth);
  }));
  if (plan.prepare) TRY(plan.prepare(child.pid()));
  if (plan.join == nullptr) TRY(WriteMaps(child.pid(), plan.identity));
  TRY(child.Tell(kMapped));
  if (plan.goes_on) TRY(child.Tell(HalfBorn::kGo));
  return child;
}

Result<HalfBorn> BearRootless(const BirthPlan& plan, const ContainerEntry& entry) {
  HalfBornOptions options{
      {.cgroup_fd = plan.cgroup_fd}, {plan.birth.control_fd}, plan.surroundings, plan.log_fd};
  return HalfBorn::Make(options, [&](const Gate& gate) {
    gate.Say(HalfBorn::kReady);
    gate.Await(HalfBorn::kGo);
    ::close(gate.fd());
    entry.run_rootless(plan.birth);
  });
}

Result<JobNamespaces> NamespacesOf(pid_t pid) {
  JobNamespaces job;
  job.user = TRY(Open(Cat("/proc/", pid, "/ns/user"), O_RDONLY));
  job.ipc = TRY(Open(Cat("/proc/", pid, "/ns/ipc"), O_RDONLY));
  return job;
}

}  // namespace slipway
