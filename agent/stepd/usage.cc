// SPDX-License-Identifier: Apache-2.0
#include "agent/stepd/usage.h"

#include <algorithm>

#include "base/os/fd.h"
#include "base/os/mountinfo.h"
#include "base/text/text.h"
#include "base/text/units.h"

namespace slipway {
namespace {

// The number behind `key` in lines of "key number".
std::uint64_t ValueOf(const std::string& file, std::string_view key) {
  auto text = ReadFile(file);
  if (!text) return 0;
  for (const std::string& line : Split(*text, '\n')) {
    std::string_view rest = line;
    if (!key.empty()) {
      if (!rest.starts_with(key) || rest.size() <= key.size() || rest[key.size()] != ' ') continue;
      rest.remove_prefix(key.size() + 1);
    }
    return ParseNumber(rest, 0, UINT64_MAX).value_or(0);
  }
  return 0;
}

// "8:0 rbytes=1 wbytes=2 …" for each device: the sum behind `key`.
std::uint64_t SumOf(const std::string& file, std::string_view key) {
  std::uint64_t sum = 0;
  std::string text = ReadFile(file).value_or("");
  std::replace(text.begin(), text.end(), '\n', ' ');
  for (const std::string& word : Split(text, ' ')) {
    if (word.starts_with(key))
      sum += ParseNumber(std::string_view(word).substr(key.size()), 0, UINT64_MAX).value_or(0);
  }
  return sum;
}

// "some avg10=0.00 … total=123" is the first line.
std::uint64_t PressureOf(const std::string& file) {
  std::string text = ReadFile(file).value_or("");
  auto at = text.find("total=");
  if (!text.starts_with("some ") || at == std::string::npos) return 0;
  at += std::string_view("total=").size();
  return ParseNumber(std::string_view(text).substr(at, text.find('\n') - at), 0, UINT64_MAX).value_or(0);
}

}  // namespace

StepUsage UsageOf(const std::string& path) {
  if (path.empty()) return {};
  return {.cpu_us = ValueOf(path + "/cpu.stat", "usage_usec"),
          .cpu_user_us = ValueOf(path + "/cpu.stat", "user_usec"),
          .cpu_system_us = ValueOf(path + "/cpu.stat", "system_usec"),
          .memory_peak_bytes = ValueOf(path + "/memory.peak", {}),
          .swap_peak_bytes = ValueOf(path + "/memory.swap.peak", {}),
          .io_read_bytes = SumOf(path + "/io.stat", "rbytes="),
          .io_write_bytes = SumOf(path + "/io.stat", "wbytes="),
          .pressure_cpu_us = PressureOf(path + "/cpu.pressure"),
          .pressure_memory_us = PressureOf(path + "/memory.pressure"),
          .pressure_io_us = PressureOf(path + "/io.pressure")};
}

std::uint64_t OutOfMemoryKills(const std::string& path) {
  return path.empty() ? 0 : ValueOf(path + "/memory.events", "oom_kill");
}

std::string RanksCgroup(const std::string& self_cgroup, const std::string& mountinfo) {
  constexpr std::string_view kOurs = "/stepd";
  std::string own, root, mount_point;
  for (const std::string& line : Split(self_cgroup, '\n')) {
    if (line.starts_with("0::")) own = line.substr(3);
  }
  for (const MountLine& mount : ParseMountinfo(mountinfo)) {
    if (mount.type != "cgroup2") continue;
    root = mount.root == "/" ? "" : mount.root;
    mount_point = mount.point;
  }
  if (mount_point.empty() || !own.ends_with(kOurs) || !own.starts_with(root)) return {};
  own = own.substr(root.size());
  return Cat(mount_point, own.substr(0, own.size() - kOurs.size()), "/tasks");
}

}  // namespace slipway
