// SPDX-License-Identifier: Apache-2.0
// Scripts find out who they are from their environment: SLIPWAY_* are ours, SLURM_* what users' scripts read
// today. SLURM_JOBID, SLURM_NODELIST and SLURM_STEP_ID are left out on purpose: with them an `mpirun` inside
// the container believes that srun is there.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "launcher/spec/step_spec.h"
#include "pmix/exchange/spawn.h"

namespace slipway {

// Where things of the step appear in its container.
inline constexpr char kScriptTarget[] = "/run/slipway/script";
inline constexpr char kClientTarget[] = "/run/slipway/client";
inline constexpr char kSessionTarget[] = "/run/slipway/mpi";

// Of all ranks here: the submitter's, less what an enclosing MPI job left in it, plus ours.
std::vector<std::string> StepEnvironment(const StepSpec& spec);
// On top of it, for the n-th rank of this node.
std::vector<std::string> RankEnvironment(const StepSpec& spec, std::uint32_t local_rank);
// On top of it, for a rank that was spawned.
std::vector<std::string> SpawnedEnvironment(const StepSpec& spec, const SpawnedWorld& world,
                                            std::uint32_t rank);

// Of NAME=value lines.
bool HasVariable(const std::vector<std::string>& env, std::string_view name);

}  // namespace slipway
