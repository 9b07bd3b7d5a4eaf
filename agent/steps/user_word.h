// SPDX-License-Identifier: Apache-2.0
// stepd runs as the user and may be under his control; what it and its status file say is his word. Here it
// is decoded and bounded before anything else looks at it: it can lie about his step only, and only within
// these limits.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "launcher/spec/step_protocol.h"

namespace slipway {

inline constexpr std::size_t kStatusFileBytesMax = 4 << 20;
inline constexpr std::size_t kExchangeBytesMax = 2 << 20;  // of one frame
inline constexpr std::size_t kReasonBytesMax = 1024;

// One line: control characters become spaces, at most kReasonBytesMax bytes.
std::string OneLine(std::string_view text);

Result<StepState> ReadStepState(std::string_view payload, const StepId& step);
// `ranks`: ours; empty: not known.
Result<StepResult> ReadStepResult(std::string_view payload, const StepId& step,
                                  const std::vector<std::uint32_t>& ranks);
Result<StepOutput> ReadStepOutput(std::string_view payload, const std::vector<std::uint32_t>& ranks);
Result<StepExchange> ReadStepExchange(std::string_view payload, std::size_t nodes);
Result<StepRendezvous> ReadStepRendezvous(std::string_view payload);

// RUN_DIR/steps/<STEP>/status: kNotFound when there is none or it is not complete.
Result<StepResult> ReadStatusFile(const std::string& step_dir, const StepId& step,
                                  const std::vector<std::uint32_t>& ranks);

}  // namespace slipway
