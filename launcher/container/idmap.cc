// SPDX-License-Identifier: Apache-2.0
#include "launcher/container/idmap.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <csignal>
#include <cstdio>

#include "base/os/fd.h"

namespace slipway {
namespace {

Result<> WriteProc(const char* path, std::string_view text) {
  UniqueFd fd = TRY(Open(path, O_WRONLY));
  TRY_CONTEXT(WriteAll(fd.get(), text), path);
  return {};
}

std::optional<std::uint64_t> Number(std::string_view text) {
  std::uint64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

bool Run(const char* program, pid_t target, unsigned own, const IdRange& range) {
  SpawnOptions options;
  options.argv = {program,
                  std::to_string(target),
                  "0",
                  std::to_string(own),
                  "1",
                  "1",
                  std::to_string(range.first),
                  std::to_string(range.count)};
  auto process = Spawn(options);
  if (!process) return false;
  auto ended = process->Wait();
  return ended && ended->wait_status == 0;
}

}  // namespace

std::optional<IdRange> SubordinateRange(std::string_view file, std::string_view name, uid_t uid) {
  std::string number = std::to_string(uid);
  while (!file.empty()) {
    auto end = file.find('\n');
    std::string_view line = file.substr(0, end);
    file.remove_prefix(end == std::string_view::npos ? file.size() : end + 1);
    auto one = line.find(':'), two = line.find(':', one + 1);
    if (one == std::string_view::npos || two == std::string_view::npos) continue;
    std::string_view who = line.substr(0, one);
    if (who.empty() || (who != name && who != number)) continue;
    auto first = Number(line.substr(one + 1, two - one - 1)), count = Number(line.substr(two + 1));
    constexpr std::uint64_t kIdsEnd = 0xffffffff;
    if (first && count && *count > 0 && *first < kIdsEnd && *count <= kIdsEnd - *first)
      return IdRange{*first, *count};
  }
  return std::nullopt;
}

Result<std::optional<RangeMapper>> RangeMapper::Start(const std::string& name, std::string& why) {
  uid_t uid = ::geteuid();
  gid_t gid = ::getegid();
  auto subuid = ReadFile("/etc/subuid"), subgid = ReadFile("/etc/subgid");
  auto uids = subuid ? SubordinateRange(*subuid, name, uid) : std::nullopt;
  auto gids = subgid ? SubordinateRange(*subgid, name, uid) : std::nullopt;
  if (!uids || !gids) {
    why = Cat("/etc/", uids ? "subgid" : "subuid", " has no range for ",
              name.empty() ? std::to_string(uid) : name, ": root is the only id inside");
    return std::optional<RangeMapper>();
  }
  PipeEnds go = TRY(MakePipe());
  pid_t target = ::getpid();
  Process helper = TRY(Clone3({}));
  if (!helper) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    go.write.reset();
    char word = 0;
    if (::read(go.read.get(), &word, 1) != 1) ::_exit(1);
    bool mapped = Run("newuidmap", target, uid, *uids) && Run("newgidmap", target, gid, *gids);
    ::_exit(mapped ? 0 : 1);
  }
  return std::optional<RangeMapper>(RangeMapper(std::move(helper), std::move(go.write)));
}

Result<> RangeMapper::MapNow() {
  TRY(WriteAll(go_.get(), "y"));
  go_.reset();
  ExitStatus ended = TRY(helper_.Wait());
  if (ended.wait_status == 0) return {};
  return Fail(Code::kFailedPrecondition,
              "--fakeroot: newuidmap or newgidmap (Debian: apt install uidmap) did not write the maps that "
              "/etc/subuid and /etc/subgid allow; --ignore-subuid does with root alone");
}

Result<> MapOnlyOneself(uid_t uid, gid_t gid, uid_t inside_uid, gid_t inside_gid) {
  TRY(WriteProc("/proc/self/setgroups", "deny"));
  TRY(WriteProc("/proc/self/uid_map", Cat(inside_uid, " ", uid, " 1")));
  return WriteProc("/proc/self/gid_map", Cat(inside_gid, " ", gid, " 1"));
}

std::vector<std::string> DescribeMaps() {
  std::vector<std::string> lines;
  for (const char* map : {"uid_map", "gid_map"}) {
    auto text = ReadFile(Cat("/proc/thread-self/", map));
    for (std::size_t start = 0; text && start < text->size();) {
      auto end = std::min(text->find('\n', start), text->size());
      unsigned inside = 0, outside = 0, count = 0;
      if (std::sscanf(text->substr(start, end - start).c_str(), "%u %u %u", &inside, &outside, &count) == 3)
        lines.push_back(
            Cat(map, ": ", inside, " inside is ", outside, " outside, ", count, count == 1 ? " id" : " ids"));
      start = end + 1;
    }
  }
  return lines;
}

}  // namespace slipway
