// SPDX-License-Identifier: Apache-2.0
#include "cli/habits/declared/declared.h"

namespace slipway::cli {

const std::vector<Habit>& Habits() {
  static const std::vector<Habit> habits = {
      {"sbatch", "submit"}, {"srun", "launch"},   {"salloc", "alloc"},   {"scancel", "cancel"},
      {"squeue", "squeue"}, {"sinfo", "sinfo"},   {"sacct", "sacct"},    {"scontrol", "scontrol"},
      {"sprio", "sprio"},   {"sshare", "sshare"}, {"sattach", "sattach"}};
  return habits;
}

}  // namespace slipway::cli
