// SPDX-License-Identifier: Apache-2.0
#include "cli/script/array.h"

#include <set>

#include "base/text/text.h"
#include "base/text/units.h"

namespace slipway::cli {
namespace {

constexpr std::uint64_t kTaskMax = 4'000'000'000;

Result<> AddPart(std::string_view part, std::set<std::uint32_t>& tasks) {
  std::uint64_t step = 1;
  if (auto colon = part.find(':'); colon != std::string_view::npos) {
    step = TRY(ParseNumber(part.substr(colon + 1), 1, kTaskMax));
    part = part.substr(0, colon);
  }
  auto dash = part.find('-');
  std::uint64_t low = TRY(ParseNumber(part.substr(0, dash), 0, kTaskMax));
  std::uint64_t high =
      dash == std::string_view::npos ? low : TRY(ParseNumber(part.substr(dash + 1), 0, kTaskMax));
  if (high < low) return Fail(Code::kInvalidArgument, "'", part, "' runs backwards");
  if ((high - low) / step >= kArrayTasksMax)
    return Fail(Code::kInvalidArgument, "more than ", kArrayTasksMax, " tasks");
  for (std::uint64_t task = low; task <= high; task += step) tasks.insert(static_cast<std::uint32_t>(task));
  if (tasks.size() > kArrayTasksMax)
    return Fail(Code::kInvalidArgument, "more than ", kArrayTasksMax, " tasks");
  return {};
}

}  // namespace

Result<ArrayRange> ParseArray(std::string_view text) {
  ArrayRange range;
  std::string what = Cat("--array=", text.substr(0, 64));
  std::string_view list = text;
  if (auto percent = text.find('%'); percent != std::string_view::npos) {
    range.at_a_time = static_cast<std::uint32_t>(
        TRY_CONTEXT(ParseNumber(text.substr(percent + 1), 1, kArrayTasksMax), what));
    list = text.substr(0, percent);
  }
  std::set<std::uint32_t> tasks;
  for (const std::string& part : Split(list, ',')) TRY_CONTEXT(AddPart(part, tasks), what);
  range.tasks.assign(tasks.begin(), tasks.end());
  return range;
}

std::string ArrayText(const std::vector<std::uint32_t>& tasks) {
  std::string text;
  for (std::size_t i = 0; i < tasks.size();) {
    std::size_t last = i;
    std::uint32_t step = i + 1 < tasks.size() ? tasks[i + 1] - tasks[i] : 1;
    while (last + 1 < tasks.size() && tasks[last + 1] - tasks[last] == step) ++last;
    if (last == i + 1 && step > 1) last = i;  // two that happen to be there
    text += Cat(text.empty() ? "" : ",", tasks[i]);
    if (last > i) text += Cat("-", tasks[last], step > 1 ? Cat(":", step) : "");
    i = last + 1;
  }
  return text;
}

Result<JobName> ParseJobName(std::string_view text) {
  JobName name;
  if (auto plus = text.find('+'); plus != std::string_view::npos) {
    auto leader = ParseNumber(text.substr(0, plus), 1, UINT64_MAX / 2);
    auto offset = ParseNumber(text.substr(plus + 1), 0, kTaskMax);
    if (!leader || !offset)
      return Fail(Code::kInvalidArgument, "'", text.substr(0, 64),
                  "' is no job id: 12+1 is component 1 of heterogeneous job 12");
    name.job = *leader + *offset;
    return name;
  }
  auto bar = text.find('_');
  auto job = ParseNumber(text.substr(0, bar), 1, UINT64_MAX);
  if (!job)
    return Fail(Code::kInvalidArgument, "'", text.substr(0, 64),
                "' is no job id: 12, or 12_3 for task 3 of an array");
  name.job = *job;
  if (bar == std::string_view::npos) return name;
  auto task = ParseNumber(text.substr(bar + 1), 0, kTaskMax);
  if (!task)
    return Fail(Code::kInvalidArgument, "'", text.substr(0, 64),
                "' is no job id: 12, or 12_3 for task 3 of an array");
  name.has_task = true;
  name.task = static_cast<std::uint32_t>(*task);
  return name;
}

}  // namespace slipway::cli
