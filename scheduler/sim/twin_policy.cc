// SPDX-License-Identifier: Apache-2.0
#include "scheduler/sim/twin_policy.h"

#include <algorithm>

namespace slipway::scheduler {
namespace {

std::string Show(const Plan& plan) {
  std::string text;
  for (const Start& start : plan.starts) {
    text += Cat(" start ", start.job.value, " (", start.partition, ", ", start.time_limit_s, " s) on");
    for (const NodeAllocation& held : start.nodes) text += Cat(' ', held.node, ':', held.tasks);
  }
  for (const Preemption& one : plan.preempt)
    text += Cat(" preempt ", one.victim.value, " for ", one.by.value, " mode ", static_cast<int>(one.mode));
  for (const PrefetchHint& hint : plan.prefetch) text += Cat(" prefetch ", hint.digest, " to ", hint.node);
  return text;
}

std::string Show(const std::vector<std::pair<JobId, PlannedStart>>& promises) {
  std::string text;
  for (const auto& [job, planned] : promises) {
    text += Cat(" job ", job.value, " at ", planned.at.us, " on");
    for (const PlannedNode& node : planned.nodes) text += Cat(' ', node.node, ':', node.tasks);
  }
  return text;
}

}  // namespace

void TwinPolicy::Observe(const State& state, const Event& event) {
  changed_ = changed_ || std::holds_alternative<ReservationSet>(event.body) ||
             std::holds_alternative<ReservationRemoved>(event.body);
  live_->Observe(state, event);
  anew_->Observe(state, event);
}

void TwinPolicy::Reset(const State& state) {
  live_->Reset(state);
  anew_->Reset(state);
}

void TwinPolicy::MakeAnewIfChanged(const State& state, Time now) {
  if (!changed_ && now < window_over_) return;
  changed_ = false;
  ++compared_;
  anew_->MakeAnew();
  window_over_ = {Time::kNeverUs};
  for (const auto& [name, reservation] : state.reservations) {
    if (auto window = WindowAt(reservation, now)) window_over_ = std::min(window_over_, window->to);
  }
}

Plan TwinPolicy::Decide(const State& state, Time now) {
  MakeAnewIfChanged(state, now);
  Plan plan = live_->Decide(state, now);
  const std::string brought = Show(plan), made = Show(anew_->Decide(state, now));
  const std::string kept = Show(live_->PlannedStarts()), planned = Show(anew_->PlannedStarts());
  if (!wrong_ && (brought != made || kept != planned))
    wrong_ =
        Cat("at ", now.us, " the plan that was brought up to date differs from the one made anew: decided",
            brought, "; and", made, "; promised", kept, "; and", planned);
  AskOne(state, now);
  return plan;
}

// Why one of those waits, of only one of the two policies: asking may change nothing.
void TwinPolicy::AskOne(const State& state, Time now) {
  if (++decided_ % 4 != 0 || state.pending.empty()) return;
  auto one = state.pending.begin();
  std::advance(one, decided_ / 4 % state.pending.size());
  const Explanation why = live_->Explain(state, one->job, now);
  const PendingReason reason = live_->ReasonOf(state, one->job);
  if (reason != PendingReason::kResources && reason != PendingReason::kPriority) return;  // as it is: never
  const Time as_it_is = why.planned ? why.planned->at : why.not_before.value_or(Time{Time::kNeverUs});
  for (const EarlierStart& earlier : why.earlier) {
    if (!wrong_ && as_it_is <= earlier.start)
      wrong_ = Cat("job ", one->job.value, " is told that it starts earlier ", earlier.change, ", at ",
                   earlier.start.us, ", and it does at ", as_it_is.us, " as it is");
  }
}

Result<> TwinPolicy::CheckFits(const State& state, const JobSpec& spec) {
  MakeAnewIfChanged(state, state.now);
  Result<> fits = live_->CheckFits(state, spec), anew = anew_->CheckFits(state, spec);
  if (!wrong_ && fits.has_value() != anew.has_value())
    wrong_ = Cat("a request of ", spec.resources.nodes_min, " nodes and ", spec.resources.tasks,
                 " tasks in partition '", spec.resources.partition, "' and reservation '",
                 spec.resources.reservation, "' with '", spec.resources.constraint, "', ",
                 spec.resources.switches, " switches, contiguous ", spec.resources.contiguous,
                 fits ? " fits the plan, and not the one made anew: "
                      : " fits the plan made anew, and not the other: ",
                 (fits ? anew : fits).error().message);
  return fits;
}

Result<> TwinPolicy::CheckFitTogether(const State& state, const std::vector<JobSpec>& components) {
  MakeAnewIfChanged(state, state.now);
  (void)anew_->CheckFitTogether(state, components);
  return live_->CheckFitTogether(state, components);
}

std::optional<PlannedStart> TwinPolicy::WhenWould(const State& state, const JobSpec& spec) {
  MakeAnewIfChanged(state, state.now);
  std::optional<PlannedStart> when = live_->WhenWould(state, spec), anew = anew_->WhenWould(state, spec);
  if (!wrong_ && when != anew) wrong_ = "a start that was asked about differs in the plan that was made anew";
  return when;
}

std::optional<std::string> TwinPolicy::FindWrong(const State& state) const {
  return wrong_ ? wrong_ : live_->FindWrong(state);
}

}  // namespace slipway::scheduler
