// SPDX-License-Identifier: Apache-2.0
// One pass of the policy becomes events: who goes, who starts where, and what is promised.
#include <set>
#include <utility>

#include "scheduler/core/policy.h"
#include "scheduler/core/turn.h"
#include "scheduler/core/usage.h"

namespace slipway::scheduler {

void Controller::Turn::RunPass() {
  c_.pass_wanted_ = false;
  ResumeLenders();
  Plan plan = c_.policy_->Decide(state(), now_);
  // Before the starts: some of these take over what the suspended lend.
  for (const Preemption& preemption : plan.preempt) {
    if (preemption.mode == PreemptMode::kSuspend) Preempt(preemption);
  }
  std::vector<JobId> started;  // told to nodes once all have their nodes: they may name one another's
  for (Start& start : plan.starts) {
    JobId id = start.job;
    const Qos* qos = c_.site().FindQos(state().FindJob(id)->spec->qos);
    std::uint64_t billing = BillingOf(c_.site().usage, start.nodes, qos == nullptr ? 1000 : qos->usage_milli);
    Record(JobStarted{id, start.attempt, std::move(start.nodes), billing, std::move(start.partition),
                      start.time_limit_s});
    const Job& job = *state().FindJob(id);
    CHECK(job.state == JobState::kStarting || job.state == JobState::kRunning);
    if (!job.steps.empty()) started.push_back(id);
  }
  for (JobId id : started) LaunchParts(*state().FindJob(id), state().FindJob(id)->steps.front());
  for (const Preemption& preemption : plan.preempt) {
    if (preemption.mode != PreemptMode::kSuspend) Preempt(preemption);
  }
  for (const PrefetchHint& hint : plan.prefetch) {
    if (c_.prefetch_sent_.insert(hint).second) Say(hint.node, Prefetch{hint.digest});
  }
  c_.next_pass_ = plan.next;
  RecordPromises();
}

// What jobs are promised outlives the controller.
void Controller::Turn::RecordPromises() {
  std::set<JobId> before = std::exchange(c_.promised_, {});
  for (auto& [id, planned] : c_.policy_->PlannedStarts()) {
    c_.promised_.insert(id);
    before.erase(id);
    const Job* job = state().FindJob(id);
    if (job != nullptr && job->planned != planned) Record(StartPlanned{id, std::move(planned)});
  }
  for (JobId id : before) {
    const Job* job = state().FindJob(id);
    if (job != nullptr && job->planned) Record(StartPlanned{id, {}});
  }
}

}  // namespace slipway::scheduler
