// SPDX-License-Identifier: Apache-2.0
// The names of Slurm's commands that we answer to when we are called by them.
#pragma once

#include <string>
#include <vector>

namespace slipway::cli {

struct Habit {
  std::string name;   // "sbatch"
  std::string means;  // first word of a command: "submit"
};
const std::vector<Habit>& Habits();

}  // namespace slipway::cli
