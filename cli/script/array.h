// SPDX-License-Identifier: Apache-2.0
// Which tasks does `--array` name? The controller decides; the command line checks first, to say what is
// wrong with the reader's own spelling.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result/result.h"

namespace slipway::cli {

struct ArrayRange {
  std::vector<std::uint32_t> tasks;  // ascending, each once
  std::uint32_t at_a_time = 0;       // "%4"; 0: no bound
};
inline constexpr std::uint32_t kArrayTasksMax = 100000;

// "0-9", "1-100:2%4", "3,5,8-9".
Result<ArrayRange> ParseArray(std::string_view text);

// The other way round: ascending tasks as "0-9", "1-99:2", "3,5".
std::string ArrayText(const std::vector<std::uint32_t>& tasks);

// "12" or "12_3": a job, or one task of an array.
struct JobName {
  std::uint64_t job = 0;
  bool has_task = false;
  std::uint32_t task = 0;
};
Result<JobName> ParseJobName(std::string_view text);

}  // namespace slipway::cli
