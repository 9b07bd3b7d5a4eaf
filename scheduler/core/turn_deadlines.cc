// SPDX-License-Identifier: Apache-2.0
// A job with a deadline that could not end by it any more does not wait for nothing: it ends when its last
// chance to start has passed.
#include "scheduler/core/turn.h"

namespace slipway::scheduler {
namespace {

constexpr std::int32_t kDeadlineExit = 143;  // as after SIGTERM

}  // namespace

// Which jobs an event may have made wait, or wait for another time.
void Controller::Turn::WatchDeadlines(const Event& event) {
  auto watch = [this](JobId id) {
    const Job* job = state().FindJob(id);
    if (job == nullptr) return;
    if (auto by = StartBy(*job)) c_.start_by_.insert({*by, id});
  };
  if (const auto* het = std::get_if<HetJobSubmitted>(&event.body)) {
    for (std::uint32_t i = 0; i < het->components.size(); ++i) watch({het->leader.value + i});
  } else if (const auto* submitted = std::get_if<JobSubmitted>(&event.body)) {
    if (submitted->spec.deadline.us == 0) return;
    auto array = state().arrays.find(submitted->job);
    if (array == state().arrays.end()) return watch(submitted->job);
    for (std::uint32_t i = 0; i < array->second.tasks; ++i) watch({array->second.first_task.value + i});
  } else if (const auto* requeued = std::get_if<JobRequeued>(&event.body)) {
    watch(requeued->job);
  } else if (const auto* updated = std::get_if<JobUpdated>(&event.body)) {
    watch(updated->job);
  }
}

void Controller::Turn::EndLate() {
  while (!c_.start_by_.empty() && c_.start_by_.begin()->first <= now_) {
    JobId id = c_.start_by_.begin()->second;
    c_.start_by_.erase(c_.start_by_.begin());
    const Job* job = state().FindJob(id);
    auto by = job == nullptr ? std::nullopt : StartBy(*job);
    if (!by || now_ < *by) continue;  // an entry of before it started, or of another limit
    const std::vector<JobId> whole = state().ComponentsOf(id);
    const Outcome late{JobState::kDeadline, kDeadlineExit, EndReason::kTimeLimit,
                       "DeadLine: it could not be started early enough to end by its deadline"};
    for (JobId one : whole.empty() ? std::vector<JobId>{id} : whole) {
      const Job& ends = *state().FindJob(one);
      if (ends.state == JobState::kPending) Record(JobEnded{one, ends.attempt, late});
    }
    c_.pass_wanted_ = true;
  }
}

}  // namespace slipway::scheduler
