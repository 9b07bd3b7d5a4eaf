// SPDX-License-Identifier: Apache-2.0
// A step is named by job, attempt and step number everywhere: in credentials, in cgroup and folder names
// ("42.1.0"), in reports. The attempt grows each time the job is started anew.
#pragma once

#include <compare>
#include <cstdint>
#include <string>

#include "base/result/result.h"
#include "base/wire/wire.h"

namespace slipway {

struct StepId {
  std::uint64_t job = 0;
  std::uint32_t attempt = 0;
  std::uint32_t step = 0;
  auto operator<=>(const StepId&) const = default;
};
void Fields(auto& archive, IsA<StepId> auto& v) { archive(v.job, v.attempt, v.step); }

// The step that runs the batch script; steps started by `slipway launch` count from 0.
inline constexpr std::uint32_t kBatchStep = 0xffff'fffe;

inline std::string ToString(const StepId& id) {
  return Cat(id.job, ".", id.attempt, ".",
             id.step == kBatchStep ? std::string("batch") : std::to_string(id.step));
}
// The inverse of ToString.
Result<StepId> ParseStepId(std::string_view text);

}  // namespace slipway
