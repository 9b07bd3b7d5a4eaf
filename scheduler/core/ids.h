// SPDX-License-Identifier: Apache-2.0
// Names and times that the whole scheduler shares. Ids are types; time is a value that is handed in, never
// read, so that the same code runs under a virtual clock.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result/result.h"
#include "base/wire/wire.h"

namespace slipway::scheduler {

struct JobId {
  std::uint64_t value = 0;  // 0: none
  auto operator<=>(const JobId&) const = default;
};
void Fields(auto& archive, IsA<JobId> auto& v) { archive(v.value); }

// The step that runs the batch script; steps started by `slipway launch` count from 0. As in
// launcher/spec/step_id.h.
inline constexpr std::uint32_t kBatchStep = 0xffff'fffe;

struct StepId {
  JobId job;
  std::uint32_t attempt = 0;  // 1 at the first start, grows each time the job is started anew
  std::uint32_t step = 0;
  auto operator<=>(const StepId&) const = default;
};
void Fields(auto& archive, IsA<StepId> auto& v) { archive(v.job, v.attempt, v.step); }

// Wall-clock time in UTC, microseconds since 1970. 0: not yet. The controller never lets it run backwards.
struct Time {
  std::int64_t us = 0;
  auto operator<=>(const Time&) const = default;
  Time PlusSeconds(std::int64_t seconds) const { return {us + seconds * 1'000'000}; }
  static constexpr std::int64_t kNeverUs = INT64_MAX;
};
void Fields(auto& archive, IsA<Time> auto& v) { archive(v.us); }

std::string ToString(JobId id);          // "42"
std::string ToString(const StepId& id);  // "42.1.0", "42.1.batch"

// Orders "n2" before "n10": runs of digits compare as numbers. The order of nodes everywhere.
struct NodeNameLess {
  using is_transparent = void;
  bool operator()(std::string_view a, std::string_view b) const;
};

}  // namespace slipway::scheduler
