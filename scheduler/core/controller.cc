// SPDX-License-Identifier: Apache-2.0
// Inputs come in here, one turn each; timers and the order of effects are made here.
#include "scheduler/core/controller.h"

#include <algorithm>

#include "scheduler/core/apply.h"
#include "scheduler/core/turn.h"
#include "scheduler/core/usage.h"

namespace slipway::scheduler {

Controller::Controller(State state, ControllerOptions options, std::unique_ptr<Policy> policy)
    : state_(std::move(state)), options_(std::move(options)), policy_(std::move(policy)), now_(state_.now) {
  if (options_.site == nullptr) options_.site = std::make_shared<const Site>();
  if (policy_ == nullptr) policy_ = MakePlanningPolicy(nullptr, options_.site, options_.localities);
  policy_->Reset(state_);
  for (const auto& [id, job] : state_.jobs) {
    if (IsTerminal(job.state)) ended_.insert({job.ended, id});
    if (job.planned) promised_.insert(id);
    if (auto by = StartBy(job)) start_by_.insert({*by, id});
    if (IsActive(job.state) && job.time_limit_s > 0) {
      deadlines_.insert({job.LimitAt(state_.now), id});
    }
    if (auto at = job.SignalAt(state_.now)) signal_at_.insert({*at, id});
    if (IsActive(job.state) && job.kill_at.us != 0) kill_at_.insert({job.kill_at, id});
  }
}

std::vector<Effect> Controller::Begin(std::uint64_t epoch, Time now) {
  CHECK(epoch > state_.epoch);
  now_ = std::max(now_, now);
  Turn turn(*this, now_);
  turn.Record(EpochBegan{epoch});
  if (!state_.reservations.empty()) reservation_over_ = {0};
  const UsageRules& rules = options_.site->usage;
  UsageClock clock{rules.recalculate_s, DecayOf(rules.half_life_s, rules.recalculate_s), now_};
  const UsageClock& before = state_.usage_clock;
  if (clock.period_s != before.period_s || clock.decay_q32 != before.decay_q32)
    turn.Record(UsageClockSet{clock});
  return turn.Finish();
}

std::vector<Effect> Controller::Handle(const Input& input, Time now) {
  now_ = std::max(now_, now);  // a clock that was set back stands still
  Turn turn(*this, now_);
  std::visit(turn, input);
  return turn.Finish();
}

Result<std::optional<PlannedStart>> Controller::WhenWould(JobSpec spec, Time now) {
  TRY(Turn(*this, std::max(now_, now)).Admit(spec));
  return policy_->WhenWould(state_, spec);
}

void Controller::SetSite(std::shared_ptr<const Site> site) {
  options_.site = std::move(site);
  policy_ = MakePlanningPolicy(nullptr, options_.site, options_.localities);
  policy_->Reset(state_);
}

PendingReason Controller::ReasonOf(JobId job) const { return policy_->ReasonOf(state_, job); }

std::uint64_t Controller::SessionOf(std::string_view node) const {
  auto found = connections_.find(node);
  return found == connections_.end() || !found->second.open ? 0 : found->second.session;
}

void Controller::Turn::Record(EventBody body) {
  const Event& event = events_.emplace_back(Event{now_, std::move(body)});
  Apply(c_.state_, event);
  c_.policy_->Observe(c_.state_, event);
  WatchDeadlines(event);
  WatchSignals(event);
  if (const auto* started = std::get_if<JobStarted>(&event.body)) {
    std::uint32_t limit_s = state().FindJob(started->job)->time_limit_s;
    if (limit_s > 0) c_.deadlines_.insert({now_.PlusSeconds(limit_s), started->job});
  } else if (const auto* ended = std::get_if<JobEnded>(&event.body)) {
    const Job& job = *state().FindJob(ended->job);
    c_.ended_.insert({now_, ended->job});
    if (job.time_limit_s > 0) c_.deadlines_.erase({job.started.PlusSeconds(job.time_limit_s), job.id});
  }
}

void Controller::Turn::Say(const std::string& node, NodeMessage message) {
  std::uint64_t session = c_.SessionOf(node);
  if (session != 0) said_.emplace_back(Send{node, session, std::move(message)});
}

void Controller::Turn::Answer(ClientToken client, Result<slipway::scheduler::Answer> answer) {
  if (client.value != 0) said_.emplace_back(Reply{client, std::move(answer)});
}

void Controller::Turn::operator()(const Tick&) {
  c_.timer_ = {Time::kNeverUs};
  EndPreempted();
  SendSignals();
  EndOverdue();
  EndLate();
  EndReservations();
  ForgetOld();
  if (c_.pass_wanted_ || c_.next_pass_ <= now_) RunPass();
  if (c_.next_resend_ <= now_) {
    Resend();
    c_.next_resend_ = {Time::kNeverUs};
  }
}

std::vector<Effect> Controller::Turn::Finish() {
  std::vector<Effect> effects;
  if (!events_.empty()) effects.emplace_back(Persist{std::move(events_)});
  std::ranges::move(said_, std::back_inserter(effects));
  if (state().active.empty()) {
    c_.next_resend_ = {Time::kNeverUs};
  } else if (c_.next_resend_.us == Time::kNeverUs) {
    c_.next_resend_ = now_.PlusSeconds(c_.options_.resend_s);
  }
  Time wanted = std::min(c_.next_pass_, c_.next_resend_);
  if (c_.pass_wanted_ || c_.ended_.size() > c_.options_.keep_ended_jobs) wanted = now_;
  if (!c_.kill_at_.empty()) wanted = std::min(wanted, c_.kill_at_.begin()->first);
  if (!c_.signal_at_.empty()) wanted = std::min(wanted, c_.signal_at_.begin()->first);
  if (!c_.start_by_.empty()) wanted = std::min(wanted, c_.start_by_.begin()->first);
  if (!c_.deadlines_.empty()) wanted = std::min(wanted, c_.deadlines_.begin()->first);
  wanted = std::min(wanted, c_.reservation_over_);
  if (!c_.ended_.empty())
    wanted = std::min(wanted, c_.ended_.begin()->first.PlusSeconds(c_.options_.keep_ended_s));
  // What is overdue is asked for again: the clock may have been set, and the timer before may come late.
  if (wanted < c_.timer_ || wanted <= now_) {
    c_.timer_ = wanted;
    effects.emplace_back(StartTimer{wanted});
  }
  return effects;
}

}  // namespace slipway::scheduler
