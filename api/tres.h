// SPDX-License-Identifier: Apache-2.0
// Amounts of resources as administrators write them, in settings and on command lines: "cpu=64,mem=1T,gpu=8".
#pragma once

#include <string>
#include <string_view>

#include "base/result/result.h"
#include "slipway/v1/account.pb.h"

namespace slipway {

// cpu, mem (bytes, with a suffix), node, gpu (also gres/gpu); "" is none of them. kInvalidArgument with what
// is wrong.
Result<v1::Tres> ParseTres(std::string_view text);
std::string FormatTres(const v1::Tres& tres);  // "" when nothing is set

}  // namespace slipway
