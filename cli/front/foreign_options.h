// SPDX-License-Identifier: Apache-2.0
// Options that people bring along from Apptainer and that mean nothing here, or nothing that can be had: each
// is understood, and answered with a line of its own, never with silence.
#pragma once

#include <vector>

#include "cli/options/options.h"

namespace slipway::cli {

std::vector<Option> ForeignOptionList();

}  // namespace slipway::cli
