// SPDX-License-Identifier: Apache-2.0
// The subcommands of slipway-gpu.
#pragma once

#include "cli/command/command.h"
#include "cli/gpu/declared/declared.h"
#include "hooks/gpu/support.h"

namespace slipway::cli {

extern const Subcommand kGpuList, kGpuCdi, kGpuUse;

// What is there now, asked anew; `root` empty: this host.
Result<GpuSupport> LookAtHost(const std::string& root);

}  // namespace slipway::cli
