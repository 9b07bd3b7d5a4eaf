// SPDX-License-Identifier: Apache-2.0
// slipway instance start|run|list|stats|logs|stop: containers that stay when the command has returned.
#pragma once

#include <string>
#include <vector>

#include "cli/options/options.h"

namespace slipway::cli {

// Their declarations, for help and completion.
std::vector<Command> InstanceCommands();

// `arguments` come after the word instance. Returns the exit code.
int RunInstanceCommand(const std::vector<std::string>& arguments);

// One each, behind InstanceCommands(); instance_start.cc, instance_show.cc, instance_stop.cc.
struct InstanceCommand {
  std::string word;  // "start"
  Command (*declare)();
  Result<int> (*run)(const Parsed&);
};
extern const InstanceCommand kInstanceStart, kInstanceRun, kInstanceList, kInstanceStats, kInstanceLogs,
    kInstanceStop;

}  // namespace slipway::cli
