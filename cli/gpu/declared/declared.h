// SPDX-License-Identifier: Apache-2.0
// `slipway gpu …` is slipway-gpu's, which loads drivers' libraries; the other programs know its words, for
// dispatch, help and completion.
#pragma once

#include <vector>

#include "cli/options/options.h"

namespace slipway::cli {

inline constexpr const char* kGpuWord = "gpu";

Command DeclareGpuList();
Command DeclareGpuCdi();
Command DeclareGpuUse();
std::vector<Command> GpuCommands();  // in the order of `slipway --help`

}  // namespace slipway::cli
