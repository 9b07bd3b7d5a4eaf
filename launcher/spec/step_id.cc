// SPDX-License-Identifier: Apache-2.0
#include "launcher/spec/step_id.h"

#include <charconv>

namespace slipway {

Result<StepId> ParseStepId(std::string_view text) {
  StepId id;
  const char* at = text.data();
  const char* end = at + text.size();
  auto number = [&](auto& value) {
    auto [next, error] = std::from_chars(at, end, value);
    if (error != std::errc() || next == at) return false;
    at = next;
    return true;
  };
  auto dot = [&] { return at != end && *at++ == '.'; };
  bool parsed = number(id.job) && dot() && number(id.attempt) && dot();
  if (parsed && std::string_view(at, end) == "batch") {
    id.step = kBatchStep;
  } else if (!parsed || !number(id.step) || at != end) {
    parsed = false;
  }
  // One step, one name: "042.1.0" or the batch step's number would be a second folder of the same step.
  if (!parsed || ToString(id) != text)
    return Fail(Code::kInvalidArgument, "'", text, "' is not JOB.ATTEMPT.STEP");
  return id;
}

}  // namespace slipway
