// SPDX-License-Identifier: Apache-2.0
#include "launcher/broker/identity.h"

#include <grp.h>
#include <linux/capability.h>
#include <sys/syscall.h>

#include <algorithm>
#include <set>

#include "base/os/fd.h"

namespace slipway {
namespace {

template <class T>
bool Holds(const std::vector<T>& groups, std::uint32_t gid) {
  return std::find(groups.begin(), groups.end(), gid) != groups.end();
}

// Whether the primary group is, or fits, among the supplementary ones.
bool PrimaryCanBeHeld(const UserIds& who) {
  constexpr std::size_t kGroupsMax = 65536;  // NGROUPS_MAX
  return who.groups.size() < kGroupsMax || Holds(who.groups, who.gid);
}

Result<> ProveNoCapability() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3]{};
  if (::syscall(SYS_capget, &header, data) < 0) return ErrnoFail("capget");
  for (const auto& part : data) {
    if ((part.effective | part.permitted | part.inheritable) != 0)
      return Fail(Code::kInternal, "capabilities are left after they were dropped");
  }
  return {};
}

}  // namespace

Result<> TakeGroups(const UserIds& who) {
  std::vector<gid_t> groups(who.groups.begin(), who.groups.end());
  if (PrimaryCanBeHeld(who) && !Holds(groups, who.gid)) groups.push_back(who.gid);
  if (::setgroups(groups.size(), groups.data()) < 0) return ErrnoFail("setgroups");
  if (::setresgid(who.gid, who.gid, who.gid) < 0) return ErrnoFail("setresgid");
  return {};
}

Result<> ProveUser(const UserIds& who) {
  uid_t uid[3];
  gid_t gid[3];
  if (::getresuid(&uid[0], &uid[1], &uid[2]) < 0 || ::getresgid(&gid[0], &gid[1], &gid[2]) < 0)
    return ErrnoFail("getresuid");
  bool his = std::all_of(uid, uid + 3, [&](uid_t id) { return id == who.uid; }) &&
             std::all_of(gid, gid + 3, [&](gid_t id) { return id == who.gid; });
  bool regained = ::setresuid(-1, 0, -1) == 0 || ::setuid(0) == 0 || ::setresgid(-1, 0, -1) == 0;
  if (!his || regained || who.uid == 0)
    return Fail(Code::kInternal, "privilege could be taken back after it was dropped");
  return {};
}

Result<> BecomeForGood(const UserIds& who) {
  TRY(TakeGroups(who));
  if (::setresuid(who.uid, who.uid, who.uid) < 0) return ErrnoFail("setresuid");
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3]{};
  if (::syscall(SYS_capset, &header, none) < 0) return ErrnoFail("capset");
  TRY(ProveNoCapability());
  return ProveUser(who);
}

Result<> WriteMaps(int pid, const UserIds& who) {
  std::string proc = Cat("/proc/", pid);
  TRY(WriteInto(proc + "/setgroups", "deny"));
  TRY(WriteInto(proc + "/uid_map", Cat(who.uid, " ", who.uid, " 1\n")));
  // With another group mapped he could leave his primary one, which holds him only if it is among the others.
  return WriteInto(proc + "/gid_map",
                   GroupMap(who.gid, PrimaryCanBeHeld(who) ? who.groups : std::vector<std::uint32_t>()));
}

std::string GroupMap(std::uint32_t gid, const std::vector<std::uint32_t>& groups) {
  constexpr std::size_t kPageBytes = 4096, kLinesMax = 340;
  std::set<std::uint32_t> mapped{0, gid};  // root's never is
  std::string map = Cat(gid, " ", gid, " 1\n");
  for (std::uint32_t group : groups) {
    if (!mapped.insert(group).second) continue;
    std::string line = Cat(group, " ", group, " 1\n");
    if (map.size() + line.size() >= kPageBytes || mapped.size() > kLinesMax) break;
    map += line;
  }
  return map;
}

}  // namespace slipway
