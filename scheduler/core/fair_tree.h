// SPDX-License-Identifier: Apache-2.0
// Who should be next? Fair Tree (Cox and Levi; Slurm's default since 19.05): siblings are ranked by how far
// their use lies behind their share, an account's users before those of the next account. So a user of an
// account that used little comes before one of an account that used much, whatever either did himself.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "scheduler/core/account.h"
#include "scheduler/core/state.h"

namespace slipway::scheduler {

struct FairShare {
  std::uint32_t rank = 0;   // from the number of users down; equals share one
  std::uint32_t of = 0;     // users in all; the factor is rank / of
  std::uint64_t usage = 0;  // decayed
  // Of its siblings' shares and usage, in millionths. level: share / usage; UINT64_MAX: nothing was used.
  std::uint64_t share_ppm = 0, usage_ppm = 0, level_ppm = 0;
};

struct FairTree {
  std::map<AssociationKey, FairShare> users;
  std::map<std::string, FairShare> accounts;  // without rank
};
FairTree ComputeFairTree(const State& state);

}  // namespace slipway::scheduler
