// SPDX-License-Identifier: Apache-2.0
#include "scheduler/server/limits_of.h"

#include <algorithm>

namespace slipway::scheduler {
namespace {

void Set(bool there, std::int64_t value, std::int64_t& to) {
  if (there) to = std::max<std::int64_t>(value, -1);
}

}  // namespace

void MergeTres(const v1::Tres& from, Tres& to) {
  Set(from.has_cpu(), from.cpu(), to.cores);
  Set(from.has_memory_bytes(), from.memory_bytes(), to.memory_bytes);
  Set(from.has_node(), from.node(), to.nodes);
  Set(from.has_gpu(), from.gpu(), to.gpus);
}

void MergeLimits(const v1::Limits& from, Limits& to) {
  MergeTres(from.grp_tres(), to.grp);
  Set(from.has_grp_jobs(), from.grp_jobs(), to.grp_jobs);
  Set(from.has_grp_submit_jobs(), from.grp_submit_jobs(), to.grp_submit);
  Set(from.has_grp_billing_minutes(), from.grp_billing_minutes(), to.grp_billing_minutes);
  MergeTres(from.max_tres_per_user(), to.max_per_user);
  Set(from.has_max_jobs_per_user(), from.max_jobs_per_user(), to.max_jobs_per_user);
  Set(from.has_max_submit_jobs_per_user(), from.max_submit_jobs_per_user(), to.max_submit_per_user);
  MergeTres(from.max_tres_per_job(), to.max_per_job);
  MergeTres(from.min_tres_per_job(), to.min_per_job);
  Set(from.has_max_wall_s(), from.max_wall_s(), to.max_wall_s);
}

}  // namespace slipway::scheduler
