// SPDX-License-Identifier: Apache-2.0
// Options that users' scripts carry from Slurm and that mean nothing here, or are not had here: the first are
// taken silently, the second are refused with what to use instead. docs/from-slurm.md lists them all.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result/result.h"
#include "cli/options/options.h"

namespace slipway::cli {

enum class SlurmCommand : std::uint8_t {
  kSbatch = 1,
  kSrun = 2,
  kSalloc = 3,
  kScancel = 4,
  kSqueue = 5,
  kSinfo = 6,
  kSacct = 7
};

// For JudgeForeignOptions.
std::vector<Option> SlurmWords(SlurmCommand command);

// Of kSbatch and kSrun: gives the command's options the variables that Slurm's command of that name reads
// (SBATCH_PARTITION …).
void NameSlurmVariables(SlurmCommand command, Command& declared);
// What of `environment` counts: nothing unless the command was called by Slurm's name, and in an allocation
// not what the allocation itself has set there. The words that say the same.
Result<Parsed> FromSlurmEnvironment(SlurmCommand command, const Command& declared,
                                    const std::vector<std::string>& environment);

}  // namespace slipway::cli
