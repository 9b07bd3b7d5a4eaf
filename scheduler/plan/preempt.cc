// SPDX-License-Identifier: Apache-2.0
// Who has to go so that a job can start now? Tried on a copy of the books: all that may go is taken away, and
// then each is put back, the dearest first, while the job still fits.
#include <algorithm>

#include "base/result/result.h"
#include "scheduler/plan/planner.h"

namespace slipway::plan {

std::optional<std::vector<JobNumber>> Planner::VictimsFor(JobNumber id, const std::vector<JobNumber>& running,
                                                          const std::vector<JobNumber>& planned) const {
  const Job& job = jobs_.at(id);
  const Request& request = queue_.shape(job.shape).request;
  if (job.state == JobState::kRunning || !LimitsAllow(job.limits, request)) return std::nullopt;
  Cluster trial = cluster_;
  if (job.state == JobState::kPlanned) TakeOrGive(trial, job, Use::kHold, false);
  for (JobNumber other : planned) {
    if (other != id && jobs_.at(other).state == JobState::kPlanned)
      TakeOrGive(trial, jobs_.at(other), Use::kHold, false);
  }
  for (JobNumber victim : running) {
    CHECK(jobs_.at(victim).state == JobState::kRunning);
    TakeOrGive(trial, jobs_.at(victim), Use::kRunning, false);
  }
  if (!trial.FitsNow(request, job.length)) return std::nullopt;
  std::vector<JobNumber> needed;
  for (auto victim = running.rbegin(); victim != running.rend(); ++victim) {
    TakeOrGive(trial, jobs_.at(*victim), Use::kRunning, true);
    if (trial.FitsNow(request, job.length)) continue;
    TakeOrGive(trial, jobs_.at(*victim), Use::kRunning, false);
    needed.push_back(*victim);
  }
  return needed;
}

void Planner::DropPromise(JobNumber id) {
  auto found = jobs_.find(id);
  if (found == jobs_.end() || found->second.state != JobState::kPlanned) return;
  Unhold(found->second);
  Enqueue(found->second);
  GainEverywhere();
}

void Planner::EndsBy(JobNumber id, Instant end) {
  auto found = jobs_.find(id);
  if (found == jobs_.end() || found->second.state != JobState::kRunning || found->second.end <= end) return;
  Job& job = found->second;
  TakeOrGive(cluster_, job, Use::kRunning, false);
  ends_.erase({job.end, id});
  job.end = end;
  TakeOrGive(cluster_, job, Use::kRunning, true);
  ends_.emplace(job.end, id);
  GainEverywhere();
}

}  // namespace slipway::plan
