// SPDX-License-Identifier: Apache-2.0
// What of scontrol is one of our commands, said in its words: `scontrol hold 12` is `slipway hold 12`,
// `scontrol update NodeName=n1 State=DRAIN Reason=x` is `slipway node drain n1 --reason x`. Pure.
#pragma once

#include <string>
#include <vector>

#include "base/result/result.h"

namespace slipway::cli {

// Empty: it is none of these (show, ping, wait_job). kInvalidArgument: it is not had, with the cure.
Result<std::vector<std::string>> ScontrolWords(const std::vector<std::string>& words);

}  // namespace slipway::cli
