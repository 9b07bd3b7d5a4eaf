// SPDX-License-Identifier: Apache-2.0
#include "launcher/broker/container_birth.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/mount.h>
#include <sched.h>
#include <sys/prctl.h>

#include <algorithm>

#include "base/os/mount.h"

namespace slipway {
namespace {

constexpr char kUnshared = 'u', kMapped = 'm', kReady = 'r', kGo = 'g';

// Outside, with euid still 0: what follows is made by root but can never use root's groups.
void TakeGroupsAndRealIds(const LaunchCredential& who, const Gate& gate) {
  std::vector<gid_t> groups(who.groups.begin(), who.groups.end());
  if (std::find(groups.begin(), groups.end(), who.gid) == groups.end()) groups.push_back(who.gid);
  gate.Check(::setgroups(groups.size(), groups.data()) == 0, "setgroups");
  gate.Check(::setresgid(who.gid, who.gid, who.gid) == 0, "setresgid");
}

// Inside: every id becomes the user's. Capabilities are left in the new user namespace alone, where the
// container's code needs them; towards the host there are none.
void BecomeUser(const LaunchCredential& who, const Gate& gate) {
  gate.Check(::setresuid(who.uid, who.uid, who.uid) == 0, "setresuid");
  LeaveSessionKeyring();
  gate.Check(::prctl(PR_SET_DUMPABLE, 0) == 0, "prctl(PR_SET_DUMPABLE)");
}

void EnterNewNamespaces(const LaunchCredential& who, const Gate& gate) {
  gate.Check(::setresuid(who.uid, 0, 0) == 0, "setresuid");
  gate.Check(::prctl(PR_SET_DUMPABLE, 0) == 0, "prctl(PR_SET_DUMPABLE)");
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

Result<> WriteProc(pid_t pid, const char* name, std::string_view text) {
  std::string path = Cat("/proc/", pid, "/", name);
  UniqueFd fd = TRY(Open(path, O_WRONLY));
  TRY_CONTEXT(WriteAll(fd.get(), text), path);
  return {};
}

// setgroups=deny first: otherwise the user could drop a group that is meant to shut him out of a file.
Result<> WriteMaps(pid_t pid, const LaunchCredential& who) {
  TRY(WriteProc(pid, "setgroups", "deny"));
  TRY(WriteProc(pid, "uid_map", Cat(who.uid, " ", who.uid, " 1\n")));
  return WriteProc(pid, "gid_map", GroupMap(who.gid, who.groups));
}

}  // namespace

std::string GroupMap(std::uint32_t gid, const std::vector<std::uint32_t>& groups) {
  constexpr std::size_t kPageBytes = 4096, kLinesMax = 340;
  std::vector<std::uint32_t> ids{gid};
  for (std::uint32_t group : groups) {
    if (group != 0 && std::find(ids.begin(), ids.end(), group) == ids.end()) ids.push_back(group);
  }
  std::string map;
  std::size_t lines = 0;
  for (std::uint32_t id : ids) {
    std::string line = Cat(id, " ", id, " 1\n");
    if (map.size() + line.size() >= kPageBytes || lines == kLinesMax) break;
    map += line;
    ++lines;
  }
  return map;
}

Result<HalfBorn> BearContainer(const BirthPlan& plan, const ContainerEntry& entry) {
  std::vector<int> keep{plan.control_fd};
  if (plan.join != nullptr) keep.insert(keep.end(), {plan.join->user.get(), plan.join->ipc.get()});
  HalfBorn child =
      TRY(HalfBorn::Make({.cgroup_fd = plan.cgroup_fd}, keep, plan.log_fd, [&](const Gate& gate) {
        TakeGroupsAndRealIds(plan.credential, gate);
        if (plan.join == nullptr) {
          EnterNewNamespaces(plan.credential, gate);
        } else {
          EnterJobNamespaces(*plan.join, gate);
          ::close(plan.join->user.get());
          ::close(plan.join->ipc.get());
        }
        BecomeUser(plan.credential, gate);
        gate.Say(kReady);
        gate.Await(kGo);
        ::close(gate.fd());
        entry.run_init(plan.control_fd, plan.image_path, plan.proc_masked, plan.rules);
      }));
  if (plan.join == nullptr) {
    TRY(child.Hear(kUnshared));
    TRY(WriteMaps(child.pid(), plan.credential));
    TRY(child.Tell(kMapped));
  }
  TRY(child.Hear(kReady));
  return child;
}

Result<HalfBorn> BearRootless(const BirthPlan& plan, const ContainerEntry& entry) {
  HalfBorn child = TRY(
      HalfBorn::Make({.cgroup_fd = plan.cgroup_fd}, {plan.control_fd}, plan.log_fd, [&](const Gate& gate) {
        gate.Say(kReady);
        gate.Await(kGo);
        ::close(gate.fd());
        entry.run_rootless(plan.control_fd);
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

bool IsProcMasked() {
  auto child = Clone3({.flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID});
  if (!child) return true;
  if (!*child)
    ::_exit(MountNew("proc", {}, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC) ? 0 : 1);
  auto status = child->Wait();
  return !status || status->wait_status != 0;
}

}  // namespace slipway
