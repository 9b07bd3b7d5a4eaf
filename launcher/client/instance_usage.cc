// SPDX-License-Identifier: Apache-2.0
#include "launcher/client/instance_usage.h"

#include <dirent.h>
#include <unistd.h>

#include <cstdlib>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "base/os/fd.h"
#include "base/os/mountinfo.h"
#include "base/text/text.h"

namespace slipway {
namespace {

struct ProcessUse {
  long parent = 0;
  std::uint64_t ticks = 0, pages = 0;
};

// proc(5): the name in parentheses may hold anything, so fields are counted from the last one.
std::optional<ProcessUse> ReadProcess(const std::string& proc, const std::string& pid) {
  auto stat = ReadFile(Cat(proc, "/", pid, "/stat"), 4096);
  if (!stat) return std::nullopt;
  auto end = stat->rfind(')');
  if (end == std::string::npos || end + 2 > stat->size()) return std::nullopt;
  std::vector<std::string> fields = Split(std::string_view(*stat).substr(end + 2), ' ');
  if (fields.size() < 22) return std::nullopt;  // from field 3, the state
  auto number = [&](std::size_t field) { return std::strtoull(fields[field - 3].c_str(), nullptr, 10); };
  return ProcessUse{.parent = std::strtol(fields[1].c_str(), nullptr, 10),
                    .ticks = number(14) + number(15),
                    .pages = number(24)};
}

std::map<long, ProcessUse> AllProcesses(const std::string& proc) {
  std::map<long, ProcessUse> all;
  DIR* dir = ::opendir(proc.c_str());
  if (dir == nullptr) return all;
  while (dirent* entry = ::readdir(dir)) {
    long pid = std::strtol(entry->d_name, nullptr, 10);
    if (pid <= 0) continue;
    if (auto use = ReadProcess(proc, entry->d_name)) all[pid] = *use;
  }
  ::closedir(dir);
  return all;
}

// The starter and all that descends from it: orphans go to the container's init, never further.
InstanceUsage OfProcesses(long starter, const std::string& proc) {
  std::map<long, ProcessUse> all = AllProcesses(proc);
  InstanceUsage usage;
  auto ticks = static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
  auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  for (auto& [pid, use] : all) {
    std::set<long> seen;  // a list read while it changes may run in circles
    long at = pid;
    while (at != starter && all.contains(at) && seen.insert(at).second) at = all[at].parent;
    if (at != starter) continue;
    ++usage.processes;
    usage.cpu_us += use.ticks * 1'000'000 / ticks;
    usage.memory_bytes += use.pages * page;
  }
  return usage;
}

std::uint64_t NumberIn(const std::string& file) {
  auto text = ReadFile(file, 64);
  return text ? std::strtoull(text->c_str(), nullptr, 10) : 0;  // "max" is 0: no limit
}

std::optional<InstanceUsage> OfCgroup(const std::string& cgroup, const std::string& proc) {
  auto mountinfo = ReadFile(proc + "/self/mountinfo");
  std::string mount = mountinfo ? CgroupMountIn(*mountinfo) : "";
  if (cgroup.empty() || mount.empty()) return std::nullopt;
  std::string folder = mount + cgroup;
  auto stat = ReadFile(folder + "/cpu.stat", 4096);
  if (!stat) return std::nullopt;
  InstanceUsage usage;
  usage.of_cgroup = true;
  for (const std::string& line : Split(*stat, '\n')) {
    if (line.starts_with("usage_usec ")) usage.cpu_us = std::strtoull(line.c_str() + 11, nullptr, 10);
  }
  usage.memory_bytes = NumberIn(folder + "/memory.current");
  usage.memory_limit_bytes = NumberIn(folder + "/memory.max");
  usage.processes = NumberIn(folder + "/pids.current");
  usage.processes_limit = NumberIn(folder + "/pids.max");
  return usage;
}

}  // namespace

InstanceUsage UsageOf(const InstanceState& state, const std::string& proc) {
  if (auto usage = OfCgroup(state.cgroup, proc)) return *usage;
  return OfProcesses(state.starter_pid, proc);
}

}  // namespace slipway
