// SPDX-License-Identifier: Apache-2.0
// Jobs that have to go for others, and jobs that stand still: their cores are lent, and come back.
#include <algorithm>

#include "scheduler/core/applier.h"
#include "scheduler/core/derived.h"
#include "scheduler/core/usage.h"

namespace slipway::scheduler {
namespace {

// What of the job is not released, with its nodes' free resources brought up to date after it.
template <class See>
void EachHeld(State& state, const Job& job, See see) {
  for (const NodeAllocation& held : job.nodes) {
    if (held.released) continue;
    Node& node = state.nodes.find(held.node)->second;
    see(node, held);
    RefreshFree(node);
  }
}

}  // namespace

void Applier::operator()(const JobPreempted& e) {
  Job* job = FindAttempt(e.job, e.attempt);
  if (job == nullptr || job->state == JobState::kCompleting || job->preempted_by) return;
  job->preempted_by = e.by;
  job->preempted_at = at_;
  job->kill_at = e.kill_at;
  job->requeue_wanted = job->requeue_wanted || e.requeue;
}

void Applier::operator()(const JobSuspended& e) {
  Job* job = FindAttempt(e.job, e.attempt);
  if (job == nullptr || job->state != JobState::kRunning || job->suspended()) return;
  ChargeJob(state_, *job, at_);
  job->suspended_at = at_;
  if (e.by.value == 0) return;
  job->lent_to = e.by;
  state_.lenders.insert(job->id);
  EachHeld(state_, *job,
           [](Node& node, const NodeAllocation& held) { node.cores_allotted.Remove(held.cores); });
}

void Applier::operator()(const JobResumed& e) {
  Job* job = FindAttempt(e.job, e.attempt);
  if (job == nullptr || !job->suspended()) return;
  if (job->lent_to) {
    bool free = true;
    EachHeld(state_, *job, [&](Node& node, const NodeAllocation& held) {
      free = free && !node.cores_allotted.Intersects(held.cores);
    });
    if (!free) return;
    EachHeld(state_, *job,
             [](Node& node, const NodeAllocation& held) { node.cores_allotted.Insert(held.cores); });
  }
  job->lent_to.reset();
  state_.lenders.erase(job->id);
  job->charged_until = std::max(job->charged_until, at_);
  // At least a little, also by a clock that was set back: nodes are told to go on where a job stood
  // (Outstanding).
  job->suspended_us += std::max<std::int64_t>(at_.us - job->suspended_at.us, 1);
  job->suspended_at = {};
}

}  // namespace slipway::scheduler
