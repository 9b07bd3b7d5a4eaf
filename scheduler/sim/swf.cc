// SPDX-License-Identifier: Apache-2.0
#include "scheduler/sim/swf.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <fstream>
#include <sstream>

#include "base/text/text.h"

namespace slipway::scheduler {
namespace {

constexpr std::size_t kFields = 18;
constexpr double kLargest = 1e15;  // seconds or processors: nothing that is meant

// Numbers may have a fraction in some traces; a second is counted when it is full.
bool ReadNumber(std::string_view word, std::int64_t& value) {
  double number = 0;
  auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
  if (error != std::errc() || end != word.data() + word.size() || !(std::abs(number) < kLargest))
    return false;
  value = static_cast<std::int64_t>(number);
  return true;
}

// Returns whether the line has exactly the format's fields, all numbers.
bool ReadFields(std::string_view line, std::array<std::int64_t, kFields>& fields) {
  std::size_t count = 0;
  while (!(line = Trim(line)).empty()) {
    std::size_t length = std::min(line.find_first_of(" \t"), line.size());
    if (count == kFields || !ReadNumber(line.substr(0, length), fields[count++])) return false;
    line.remove_prefix(length);
  }
  return count == kFields;
}

}  // namespace

Result<Trace> ParseSwf(std::string_view text) {
  Trace trace;
  std::size_t number = 0;
  while (!text.empty()) {
    std::size_t length = std::min(text.find('\n'), text.size());
    std::string_view line = Trim(text.substr(0, length));
    text.remove_prefix(std::min(length + 1, text.size()));
    ++number;
    if (line.empty() || line.front() == ';') continue;
    std::array<std::int64_t, kFields> f{};
    if (!ReadFields(line, f))
      return Fail(Code::kInvalidArgument, "line ", number, ": not ", kFields, " numbers of a workload trace");
    TraceJob job{f[0], f[1], f[3], f[8], f[7] > 0 ? f[7] : f[4], f[11]};
    if (job.run_s <= 0 || job.processors <= 0 || job.submit_s < 0) {
      ++trace.dropped;
      continue;
    }
    if (job.estimate_s > 0 && job.estimate_s < job.run_s) ++trace.overran;
    job.estimate_s = std::max(job.estimate_s, job.run_s);
    trace.jobs.push_back(job);
  }
  std::ranges::stable_sort(trace.jobs, {}, &TraceJob::submit_s);
  return trace;
}

Result<Trace> ReadSwf(const std::string& path) {
  std::ifstream file(path);
  if (!file) return Fail(Code::kNotFound, path, " cannot be read");
  std::stringstream text;
  text << file.rdbuf();
  return TRY_CONTEXT(ParseSwf(text.str()), path);
}

}  // namespace slipway::scheduler
