// SPDX-License-Identifier: Apache-2.0
#include "launcher/broker/identity.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sys/syscall.h>

#include <algorithm>

#include "base/os/fd.h"

namespace slipway {
namespace {

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

Result<> TakeGroups(const Identity& who) {
  std::vector<gid_t> groups(who.groups.begin(), who.groups.end());
  if (std::find(groups.begin(), groups.end(), who.gid) == groups.end()) groups.push_back(who.gid);
  if (::setgroups(groups.size(), groups.data()) < 0) return ErrnoFail("setgroups");
  if (::setresgid(who.gid, who.gid, who.gid) < 0) return ErrnoFail("setresgid");
  return {};
}

Result<> ProveUser(const Identity& who) {
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

Result<> BecomeForGood(const Identity& who) {
  TRY(TakeGroups(who));
  if (::setresuid(who.uid, who.uid, who.uid) < 0) return ErrnoFail("setresuid");
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3]{};
  if (::syscall(SYS_capset, &header, none) < 0) return ErrnoFail("capset");
  TRY(ProveNoCapability());
  return ProveUser(who);
}

Result<> WriteMaps(int pid, const Identity& who) {
  auto write = [pid](const char* name, const std::string& text) -> Result<> {
    UniqueFd fd = TRY(Open(Cat("/proc/", pid, "/", name), O_WRONLY));
    TRY_CONTEXT(WriteAll(fd.get(), text), name);
    return {};
  };
  TRY(write("setgroups", "deny"));
  TRY(write("uid_map", Cat(who.uid, " ", who.uid, " 1\n")));
  return write("gid_map", GroupMap(who.gid, who.groups));
}

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

}  // namespace slipway
