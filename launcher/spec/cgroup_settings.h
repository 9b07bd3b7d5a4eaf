// SPDX-License-Identifier: Apache-2.0
// What a job may use of a node, as the kernel wants it written. The controller computes the lines and signs
// them with the credential, so that the half that runs as root only has to know which files there are.
//
// Pure; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result/result.h"
#include "base/wire/wire.h"

namespace slipway {

// A control file of cgroup v2 (its name, never a path) and what is written into it.
struct CgroupSetting {
  enum Level : std::uint8_t { kJob = 1, kTasks = 2 };  // of all the job's steps together; of one step's ranks
  Level level = kTasks;
  std::string file, value;
  bool operator==(const CgroupSetting&) const = default;
};
void Fields(auto& archive, IsA<CgroupSetting> auto& v) { archive(v.level, v.file, v.value); }

// The controllers whose limits we set, each with a file that is there exactly when it is.
struct CgroupController {
  const char *name, *file;
};
inline constexpr CgroupController kCgroupControllers[] = {
    {"memory", "memory.max"},  {"pids", "pids.max"}, {"cpu", "cpu.max"},
    {"cpuset", "cpuset.cpus"}, {"io", "io.max"},     {"hugetlb", "hugetlb.2MB.max"}};

std::vector<std::string> CgroupControllerNames();

// What a kernel may lack although it has the controller.
inline constexpr const char* kCgroupFurther[] = {"memory.oom.group", "memory.swap.max", "memory.high",
                                                 "cpu.weight",       "cpuset.mems",     "io.weight"};

inline constexpr std::size_t kCgroupSettingsMax = 64;

// At most kCgroupSettingsMax; each a file of one of these controllers, one printable line, a known level.
// kInvalidArgument names the one that is not.
Result<> CheckCgroupSettings(const std::vector<CgroupSetting>& settings);

// What the job was given on the node; 0 and empty: no limit of that kind.
struct CgroupShare {
  std::uint32_t cores = 0, processes_max = 0;
  std::uint64_t memory_bytes = 0;
  std::vector<std::uint32_t> cpus, memory_nodes;  // as the kernel numbers them
  // The site's own, "FILE=VALUE" (declared as controller.job_cgroup); over ours where both say something.
  // "N%": of the job's memory there, and nothing where that is not limited.
  std::vector<std::string> site;
};
// Of the site's lines those that CheckCgroupSettings would refuse are an error here already.
Result<std::vector<CgroupSetting>> CgroupSettingsOf(const CgroupShare& share);

// "0-3,8": ascending, ranges joined.
std::string NumberList(std::vector<std::uint32_t> numbers);

}  // namespace slipway
