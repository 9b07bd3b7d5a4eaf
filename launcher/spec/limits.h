// SPDX-License-Identifier: Apache-2.0
// What a user allows his own container (`--memory`, `--cpus` …), where no scheduler sets limits: from the
// command line to slipway-scope, which asks systemd for them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result/result.h"

namespace slipway {

inline constexpr std::uint32_t kLimitCpusMax = 8192;

struct ContainerLimits {
  std::optional<std::uint64_t>
      cpu_us_per_s;                         // processor time a second: 1,500,000 is one and a half processors
  std::optional<std::uint64_t> cpu_weight;  // 1 to 10,000, 100 is usual (cgroup v2's cpu.weight)
  std::optional<std::uint64_t> memory_bytes;
  std::optional<std::uint64_t> memory_low_bytes;  // kept from reclaim
  std::optional<std::uint64_t> swap_bytes;        // beside the memory
  std::optional<std::uint64_t> processes;
  std::vector<std::uint32_t> cpus;  // allowed processors, ascending; empty: all

  bool any() const {
    return cpu_us_per_s || cpu_weight || memory_bytes || memory_low_bytes || swap_bytes || processes ||
           !cpus.empty();
  }
};

// "memory=1073741824", "cpus=0,1,5": for a program's command line; and the reverse, with every bound checked.
std::vector<std::string> LimitWords(const ContainerLimits& limits);
Result<ContainerLimits> ParseLimitWords(const std::vector<std::string>& words);

// "0-3,8" → 0 1 2 3 8, each below kLimitCpusMax.
Result<std::vector<std::uint32_t>> ParseCpuList(std::string_view text);

}  // namespace slipway
