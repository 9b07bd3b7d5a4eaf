// SPDX-License-Identifier: Apache-2.0
// Signals as people write them, and when Slurm's users want them sent.
#pragma once

#include <string>

#include "base/result/result.h"
#include "slipway/v1/job.pb.h"

namespace slipway::cli {

// "USR1", "SIGUSR1" or "10". kInvalidArgument names --signal.
Result<int> SignalNumber(std::string text);
// --signal=[B:][R:]SIGNAL[@SECONDS]; without seconds 60.
Result<v1::LimitSignal> LimitSignalOf(const std::string& text);

}  // namespace slipway::cli
