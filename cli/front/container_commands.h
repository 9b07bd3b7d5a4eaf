// SPDX-License-Identifier: Apache-2.0
// exec, run and shell: a container here and now, no daemon.
#pragma once

#include <string>
#include <vector>

#include "cli/options/options.h"

namespace slipway::cli {

// Their declarations, for help and completion.
std::vector<Command> ContainerCommands();

// `name` is exec, run or shell; `arguments` come after it. Returns the exit code.
int RunContainerCommand(const std::string& name, const std::vector<std::string>& arguments);

}  // namespace slipway::cli
