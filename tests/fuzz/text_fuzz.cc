// SPDX-License-Identifier: Apache-2.0
// Host lists, sizes, durations and array ranges are typed by people and travel in scripts.
#include <cstdint>
#include <string_view>

#include "base/text/hostlist.h"
#include "base/text/units.h"
#include "cli/script/array.h"
#include "launcher/spec/step_id.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace slipway;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  if (auto names = ExpandHostlist(text, 2000)) {
    CHECK(names->size() <= 2000);
    auto again = ExpandHostlist(CompressHostlist(*names), 2000);
    CHECK(again.has_value());
    CHECK(*again == *names);
  }
  (void)ParseBytes(text);
  (void)ParseBytes(text, 1 << 20);
  if (auto limit = ParseTimeLimit(text)) CHECK(limit->count() >= 0 && !FormatTimeLimit(*limit).empty());
  if (auto number = ParseNumber(text, 3, 1000)) CHECK(*number >= 3 && *number <= 1000);
  if (auto step = ParseStepId(text)) CHECK(ToString(*step) == text);
  if (auto range = cli::ParseArray(text)) {
    CHECK(!range->tasks.empty() && range->tasks.size() <= cli::kArrayTasksMax);
    for (std::size_t i = 1; i < range->tasks.size(); ++i) CHECK(range->tasks[i - 1] < range->tasks[i]);
  }
  (void)cli::ParseJobName(text);
  return 0;
}
