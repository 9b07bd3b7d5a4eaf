// SPDX-License-Identifier: Apache-2.0
// Workload traces in the Standard Workload Format: lines of 18 numbers, comments after ';'
// (https://www.cs.huji.ac.il/labs/parallel/workload/swf.html). -1 means "not known".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result/result.h"

namespace slipway::scheduler {

struct TraceJob {
  std::int64_t number = 0;  // the trace's own
  std::int64_t submit_s = 0, run_s = 0;
  std::int64_t estimate_s = 0;  // what the user asked for; the run time where the trace has none or less
  std::int64_t processors = 0;  // asked for; allocated where that is not known
  std::int64_t user = -1;
};

struct Trace {
  std::vector<TraceJob> jobs;  // by submission, equal times in the order of the file
  std::uint64_t dropped = 0;   // lines without run time or processors
  std::uint64_t overran = 0;   // jobs that ran longer than was asked for
};

// kInvalidArgument, with the line's number, for what is no such line.
Result<Trace> ParseSwf(std::string_view text);
Result<Trace> ReadSwf(const std::string& path);

}  // namespace slipway::scheduler
