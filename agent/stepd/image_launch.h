// SPDX-License-Identifier: Apache-2.0
// Ranks of another image, or on nodes where the step has none, are a step of their own, which `slipway
// launch` in the batch script's container makes (decision 66). What of a spawn becomes its command line, and
// which images a step's user lets its ranks have.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "launcher/spec/step_spec.h"
#include "pmix/exchange/spawn.h"

namespace slipway {

// Of the command, and the step it makes: the ticket, and where it runs several programs, how many ranks each
// of them has ("2,3").
inline constexpr char kSpawnTicketVariable[] = "SLIPWAY_SPAWN_TICKET",
                      kSpawnProgramsVariable[] = "SLIPWAY_SPAWN_PROGRAMS";

// Takes from the request what its programs' environments say of an image (SLIPWAY_SPAWN_IMAGE: Open MPI
// passes the MPI_Info key `env` on, and no unknown one), and decides: afterwards `image` is empty where the
// ranks come into the step's own containers. kPermissionDenied: an image that --spawn-image does not name.
// kUnimplemented: programs that name different images, for one world is one step.
Result<> ChooseSpawnImage(const StepSpec& spec, SpawnRequest& request);

struct ImageLaunch {
  std::vector<std::string> argv, env;
};
// The command; where there are several programs, it runs a shell script in each rank's place, which goes on
// as the rank's program: such an image needs /bin/sh. kUnimplemented, kInvalidArgument: what one command
// cannot do.
Result<ImageLaunch> LaunchOf(const SpawnRequest& request, std::uint64_t ticket);

// The ticket of a step that was made so; 0: it was not.
std::uint64_t SpawnTicketOf(const StepSpec& spec);
// How many ranks each of its programs has; empty: it has one program.
std::vector<std::uint32_t> SpawnProgramsOf(const StepSpec& spec);

}  // namespace slipway
