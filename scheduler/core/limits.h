// SPDX-License-Identifier: Apache-2.0
// How much a QOS, an account or a user's part in an account may have. The names are Slurm's (GrpTRES,
// MaxTRESPerJob, …), so that sites can carry over what they have. Negative: no limit.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/wire/wire.h"

namespace slipway::scheduler {

struct Tres {
  std::int64_t cores = -1, memory_bytes = -1, nodes = -1, gpus = -1;
  bool operator==(const Tres&) const = default;
};
void Fields(auto& archive, IsA<Tres> auto& v) { archive(v.cores, v.memory_bytes, v.nodes, v.gpus); }

struct Limits {
  // Of all running jobs together.
  Tres grp;
  std::int64_t grp_jobs = -1;
  std::int64_t grp_submit = -1;           // pending ones too
  std::int64_t grp_billing_minutes = -1;  // used, decayed as usage is: nothing new starts beyond
  // Of one user's jobs. In a QOS: over all accounts; of an account: of each user in it.
  Tres max_per_user;
  std::int64_t max_jobs_per_user = -1;
  std::int64_t max_submit_per_user = -1;
  // Of each job.
  Tres max_per_job, min_per_job;
  std::int64_t max_wall_s = -1;
  bool operator==(const Limits&) const = default;
};
void Fields(auto& archive, IsA<Limits> auto& v) {
  archive(v.grp, v.grp_jobs, v.grp_submit, v.grp_billing_minutes, v.max_per_user, v.max_jobs_per_user,
          v.max_submit_per_user, v.max_per_job, v.min_per_job, v.max_wall_s);
}

}  // namespace slipway::scheduler
