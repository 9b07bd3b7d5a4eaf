// SPDX-License-Identifier: Apache-2.0
#include "scheduler/server/fill_job.h"

#include "scheduler/server/convert.h"

namespace slipway::scheduler {

Result<> FillJob(const Head& head, JobId id, const Requester& by, v1::Job* out) {
  const State& state = head.state();
  JobView view{.now = head.Now()};
  if (const Job* job = state.FindJob(id)) {
    view.full = by.admin || by.uid == job->spec->user.uid;
    view.pending_reason = head.PendingText(*job);
    view.lease_s = state.LeaseOf(*job);
    if (job->state == JobState::kPending) view.planned = head.PlannedStartOf(id);
    ToProto(*job, view, out);
    if (const std::vector<JobId> whole = state.ComponentsOf(id); !whole.empty()) {
      out->set_het_job_id(whole.front().value);
      out->set_het_offset(static_cast<std::uint32_t>(id.value - whole.front().value));
      out->set_het_size(static_cast<std::uint32_t>(whole.size()));
    }
    return {};
  }
  if (std::optional<Job> task = state.FindUnmade(id)) {
    view.full = by.admin || by.uid == task->spec->user.uid;
    view.pending_reason = "waits behind others of its array";
    ToProto(*task, view, out);
    return {};
  }
  auto array = state.arrays.find(id);
  if (array == state.arrays.end()) return Fail(Code::kNotFound, "there is no job ", id.value);
  view.full = by.admin || by.uid == array->second.spec->user.uid;
  ToProto(state, array->second, view, out);
  return {};
}

}  // namespace slipway::scheduler
