// SPDX-License-Identifier: Apache-2.0
#include "launcher/spec/cgroup_settings.h"

#include <algorithm>
#include <charconv>
#include <string_view>

namespace slipway {
namespace {

constexpr std::uint64_t kCpuPeriod_us = 100'000;
// stepd and the helpers of a container's mounts are of the job's cgroup, but must not die of its ranks'
// appetite.
constexpr std::uint64_t kOurMemory_bytes = 64 << 20;
constexpr std::uint32_t kOurProcesses = 64;

Result<> Check(const CgroupSetting& setting) {
  std::string_view file = setting.file;
  bool known =
      std::any_of(std::begin(kCgroupControllers), std::end(kCgroupControllers), [&](auto& controller) {
        std::string_view name = controller.name;
        return file.size() > name.size() + 1 && file.starts_with(name) && file[name.size()] == '.';
      });
  bool plain = std::all_of(file.begin(), file.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_';
  });
  if (!known || !plain || file.size() > 64)
    return Fail(Code::kInvalidArgument, "cgroup: '", file.substr(0, 64),
                "' is no limit of memory, pids, cpu, ", "cpuset, io or hugetlb");
  auto printable = [](char c) { return c >= ' ' && c <= '~'; };
  if (setting.value.empty() || setting.value.size() > 4096 ||
      !std::all_of(setting.value.begin(), setting.value.end(), printable))
    return Fail(Code::kInvalidArgument, "cgroup: ", file, ": the value is no line");
  if (setting.level != CgroupSetting::kJob && setting.level != CgroupSetting::kTasks)
    return Fail(Code::kInvalidArgument, "cgroup: ", file, ": unknown level");
  return {};
}

// Where a line of the site's belongs: what is shared out goes to the job, what is used up to its ranks.
CgroupSetting::Level LevelOf(std::string_view file) {
  bool shared = file.starts_with("cpuset.") || file.starts_with("io.") || file.ends_with(".weight");
  return shared ? CgroupSetting::kJob : CgroupSetting::kTasks;
}

// A percentage becomes bytes; none where there is nothing to take it of.
Result<std::string> ValueOf(std::string_view value, std::uint64_t memory_bytes) {
  if (!value.ends_with('%')) return std::string(value);
  std::uint64_t percent = 0;
  auto [end, error] = std::from_chars(value.data(), value.data() + value.size() - 1, percent);
  if (error != std::errc() || end != value.data() + value.size() - 1 || percent > 1000)
    return Fail(Code::kInvalidArgument, "cgroup: '", value.substr(0, 32),
                "' is not a percentage from 0% to 1000%");
  return memory_bytes == 0 ? std::string() : std::to_string(memory_bytes / 100 * percent);
}

}  // namespace

std::vector<std::string> CgroupControllerNames() {
  std::vector<std::string> names;
  for (const CgroupController& controller : kCgroupControllers) names.emplace_back(controller.name);
  return names;
}

Result<> CheckCgroupSettings(const std::vector<CgroupSetting>& settings) {
  if (settings.size() > kCgroupSettingsMax)
    return Fail(Code::kInvalidArgument, "cgroup: ", settings.size(), " limits, at most ", kCgroupSettingsMax);
  for (const CgroupSetting& setting : settings) TRY(Check(setting));
  return {};
}

Result<std::vector<CgroupSetting>> CgroupSettingsOf(const CgroupShare& share) {
  std::vector<CgroupSetting> settings;
  auto set = [&](CgroupSetting::Level level, std::string file, std::string value) {
    std::erase_if(settings, [&](auto& other) { return other.level == level && other.file == file; });
    settings.push_back({level, std::move(file), std::move(value)});
  };
  if (share.memory_bytes != 0) {
    set(CgroupSetting::kJob, "memory.max", std::to_string(share.memory_bytes + kOurMemory_bytes));
    set(CgroupSetting::kTasks, "memory.max", std::to_string(share.memory_bytes));
    // Half a step is of no use to anybody: its ranks would wait for the dead one.
    set(CgroupSetting::kTasks, "memory.oom.group", "1");
    set(CgroupSetting::kTasks, "memory.swap.max", "0");
  }
  if (share.processes_max != 0) {
    set(CgroupSetting::kJob, "pids.max", std::to_string(share.processes_max + kOurProcesses));
    set(CgroupSetting::kTasks, "pids.max", std::to_string(share.processes_max));
  }
  if (share.cores != 0) {
    set(CgroupSetting::kTasks, "cpu.max", Cat(share.cores * kCpuPeriod_us, " ", kCpuPeriod_us));
    set(CgroupSetting::kJob, "cpu.weight", std::to_string(std::min(10'000U, share.cores * 10)));
  }
  if (!share.cpus.empty()) set(CgroupSetting::kJob, "cpuset.cpus", NumberList(share.cpus));
  if (!share.memory_nodes.empty()) set(CgroupSetting::kJob, "cpuset.mems", NumberList(share.memory_nodes));
  for (const std::string& line : share.site) {
    auto equals = line.find('=');
    if (equals == std::string::npos)
      return Fail(Code::kInvalidArgument, "cgroup: '", line.substr(0, 64), "': FILE=VALUE is wanted");
    std::string file = line.substr(0, equals);
    std::string value = TRY(ValueOf(std::string_view(line).substr(equals + 1), share.memory_bytes));
    TRY(Check({CgroupSetting::kTasks, file, value.empty() ? "0" : value}));
    if (!value.empty()) set(LevelOf(file), file, value);
  }
  return settings;
}

std::string NumberList(std::vector<std::uint32_t> numbers) {
  std::sort(numbers.begin(), numbers.end());
  numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
  std::string text;
  for (std::size_t i = 0; i < numbers.size();) {
    std::size_t last = i;
    while (last + 1 < numbers.size() && numbers[last + 1] == numbers[last] + 1) ++last;
    text += Cat(text.empty() ? "" : ",", numbers[i]);
    if (last != i) text += Cat("-", numbers[last]);
    i = last + 1;
  }
  return text;
}

}  // namespace slipway
