// SPDX-License-Identifier: Apache-2.0
// Scripts and fingers know squeue, sinfo, sacct, scontrol. Here each is a command of that name, with the
// options and output formats that scripts parse, over what `slipway` shows in its own words; what a name asks
// and we do not have is refused in one line that names our command.
#pragma once

#include <vector>

#include "cli/command/command.h"

namespace slipway::cli {

extern const Subcommand kSqueue, kSinfo, kSacct, kScontrol, kSprio, kSshare, kSattach;
// Ours and theirs.
const std::vector<const Subcommand*>& CommandsWithHabits();

}  // namespace slipway::cli
