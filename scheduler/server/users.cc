// SPDX-License-Identifier: Apache-2.0
#include "scheduler/server/users.h"

#include <grp.h>
#include <pwd.h>

#include <chrono>
#include <map>
#include <mutex>
#include <vector>

#include "base/text/units.h"

namespace slipway::scheduler {
namespace {

constexpr auto kKeep = std::chrono::seconds(60);
constexpr std::size_t kKeptMax = 10'000;
constexpr int kGroupsMax = 65536;

struct Kept {
  User user;
  std::chrono::steady_clock::time_point until;
};
std::mutex kept_mutex;  // guards kept
std::map<std::uint32_t, Kept> kept;

Result<std::vector<std::uint32_t>> GroupsOf(const std::string& name, gid_t gid) {
  std::vector<gid_t> groups(64);
  for (;;) {
    int count = static_cast<int>(groups.size());
    if (::getgrouplist(name.c_str(), gid, groups.data(), &count) >= 0) {
      groups.resize(static_cast<std::size_t>(count));
      return std::vector<std::uint32_t>(groups.begin(), groups.end());
    }
    if (groups.size() >= kGroupsMax)
      return Fail(Code::kResourceExhausted, "user ", name, " is in more than ", kGroupsMax, " groups");
    groups.resize(groups.size() * 4);
  }
}

Result<User> AskSystem(std::uint32_t uid) {
  std::vector<char> buffer(16 << 10);
  passwd entry{}, *found = nullptr;
  int error;
  while ((error = ::getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found)) == ERANGE &&
         buffer.size() < (4 << 20))
    buffer.resize(buffer.size() * 2);
  if (found == nullptr && error != 0 && error != ENOENT && error != ESRCH)
    return Failure(ErrnoErrorOf(error, "looking up uid", Cat(uid)));
  if (found == nullptr) return Fail(Code::kNotFound, "uid ", uid, " has no account on the controller's host");
  User user{uid, entry.pw_gid, {}, entry.pw_name, entry.pw_dir, entry.pw_shell};
  user.groups = TRY(GroupsOf(user.name, entry.pw_gid));
  return user;
}

}  // namespace

Result<User> LookUpUser(std::uint32_t uid) {
  auto now = std::chrono::steady_clock::now();
  {
    std::lock_guard lock(kept_mutex);
    auto at = kept.find(uid);
    if (at != kept.end() && at->second.until > now) return at->second.user;
  }
  User user = TRY(AskSystem(uid));
  std::lock_guard lock(kept_mutex);
  if (kept.size() >= kKeptMax) kept.clear();
  kept[uid] = {user, now + kKeep};
  return user;
}

std::optional<std::uint32_t> UidOfName(const std::string& name) {
  std::vector<char> buffer(1 << 20);
  passwd entry{}, *found = nullptr;
  if (::getpwnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found) != 0 || found == nullptr)
    return std::nullopt;
  return entry.pw_uid;
}

Result<UserName> WhoIs(const std::string& user) {
  if (auto uid = UidOfName(user)) return UserName{*uid, user};
  auto number = ParseNumber(user, 1, UINT32_MAX - 1);
  if (!number) return Fail(Code::kNotFound, "there is no user ", user, " on the controller's host");
  auto uid = static_cast<std::uint32_t>(*number);
  return UserName{uid, NameOfUid(uid)};
}

std::string NameOfUid(std::uint32_t uid) {
  auto user = LookUpUser(uid);
  return user ? user->name : Cat(uid);
}

}  // namespace slipway::scheduler
