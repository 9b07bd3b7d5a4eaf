// SPDX-License-Identifier: Apache-2.0
// Apptainer's options of the commands on image files that are not ours: each says what is so here instead.
#pragma once

#include <vector>

#include "cli/options/options.h"

namespace slipway::cli {

// `own` and what Apptainer's command of that name ("build") takes besides.
std::vector<Option> WithApptainers(const char* command, std::vector<Option> own);

}  // namespace slipway::cli
