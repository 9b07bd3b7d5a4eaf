// SPDX-License-Identifier: Apache-2.0
#include "scheduler/core/apply.h"

#include <algorithm>

#include "scheduler/core/applier.h"
#include "scheduler/core/apply_accounts.h"
#include "scheduler/core/usage.h"

namespace slipway::scheduler {

void Applier::operator()(const UsageClockSet& e) {
  const UsageClock& now = state_.usage_clock;
  if (e.clock.period_s != now.period_s || e.clock.decay_q32 != now.decay_q32)
    StartUsageClock(state_, e.clock, at_);
}

void Applier::operator()(const AccountSet& e) { ApplyAccount(state_, e); }

void Applier::operator()(const AccountRemoved& e) { ApplyAccount(state_, e); }

void Applier::operator()(const AssociationSet& e) { ApplyAccount(state_, e); }

void Applier::operator()(const AssociationRemoved& e) { ApplyAccount(state_, e); }

void Applier::operator()(const ReservationSet& e) { state_.reservations[e.reservation.name] = e.reservation; }

void Applier::operator()(const ReservationRemoved& e) { state_.reservations.erase(e.reservation); }

Job* Applier::Find(JobId id) {
  auto found = state_.jobs.find(id);
  return found == state_.jobs.end() ? nullptr : &found->second;
}

Array* Applier::FindArray(JobId id) {
  auto found = state_.arrays.find(id);
  return found == state_.arrays.end() ? nullptr : &found->second;
}

Job* Applier::FindAttempt(JobId id, std::uint32_t attempt) {
  Job* job = Find(id);
  return job != nullptr && IsActive(job->state) && job->attempt == attempt ? job : nullptr;
}

Step* Applier::FindStep(const StepId& id) {
  Job* job = FindAttempt(id.job, id.attempt);
  if (job == nullptr) return nullptr;
  auto found = std::ranges::find(job->steps, id.step, &Step::number);
  return found == job->steps.end() ? nullptr : &*found;
}

StepNode* Applier::FindPart(Step* step, const std::string& node) {
  if (step == nullptr) return nullptr;
  auto found = std::ranges::find(step->nodes, node, &StepNode::node);
  return found == step->nodes.end() ? nullptr : &*found;
}

Node* Applier::FindNode(const std::string& name) {
  auto found = state_.nodes.find(name);
  return found == state_.nodes.end() ? nullptr : &found->second;
}

void Apply(State& state, const Event& event) {
  state.now = std::max(state.now, event.at);
  AdvanceUsage(state, event.at);
  std::visit(Applier(state, event.at), event.body);
}

}  // namespace slipway::scheduler
