// SPDX-License-Identifier: Apache-2.0
#include "cli/habits/habits.h"

#include "cli/remote/subcommand.h"

namespace slipway::cli {

const std::vector<const Subcommand*>& CommandsWithHabits() {
  static const std::vector<const Subcommand*> all = [] {
    std::vector<const Subcommand*> commands = AllSubcommands();
    commands.insert(commands.end(), {&kSqueue, &kSinfo, &kSacct, &kScontrol, &kSprio, &kSshare, &kSattach});
    return commands;
  }();
  return all;
}

}  // namespace slipway::cli
