// SPDX-License-Identifier: Apache-2.0
// srun's --prolog and --epilog: programs of whoever launches, once around the step, where the launch itself
// runs (on his host, in a script's container), with the step's command and arguments as theirs. As in Slurm
// the step goes on whatever they come to; but what went wrong is said.
#pragma once

#include <vector>

#include "cli/options/options.h"

namespace slipway::cli {

std::vector<Option> StepProgramOptions();
// `which`: "prolog" or "epilog". Returns when it has ended; at once where none is asked for ("none" is
// none), or nothing is to be started (--test-only).
void RunStepProgram(const Parsed& options, const char* which);

}  // namespace slipway::cli
