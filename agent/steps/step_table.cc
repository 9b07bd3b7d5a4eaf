// SPDX-License-Identifier: Apache-2.0
#include "agent/steps/step_table.h"

#include <algorithm>
#include <csignal>
#include <utility>

#include "agent/steps/user_word.h"
#include "base/log/log.h"
#include "base/os/process_name.h"

namespace slipway {

using std::chrono::seconds;

static std::string LeaseWords(std::uint32_t lease_s) {
  return Cat(kLeaseOver, ": no controller for ", lease_s, " s");
}

template <class Call>
auto StepTable::Guarded(Call call) {
  return [alive = alive_, call = std::move(call)](auto&&... arguments) mutable {
    if (*alive) call(std::forward<decltype(arguments)>(arguments)...);
  };
}

StepTable::StepTable(Loop& loop, std::string state_dir, StepTableEvents events)
    : loop_(loop), known_steps_(std::move(state_dir)), events_(std::move(events)) {}

StepTable::~StepTable() {
  *alive_ = false;
  for (auto& [id, entry] : steps_) {
    loop_.Cancel(entry->timer);
    loop_.Cancel(entry->connect_timer);
    loop_.Cancel(entry->end_timer);
  }
  loop_.Cancel(held_timer_);
}

std::int64_t StepTable::NowMs() const {
  return std::chrono::duration_cast<std::chrono::milliseconds>(loop_.WallNow().time_since_epoch()).count();
}

StepNews StepTable::NewsOf(const Entry& entry) {
  StepNews news = entry.machine.news();
  news.laps.insert(news.laps.begin(), entry.own_laps.begin(), entry.own_laps.end());
  news.metered = entry.metered;
  news.libraries = entry.known.libraries;
  return news;
}

void StepTable::BeginMeter(const StepId& step, Entry& entry) {
  if (!events_.began || entry.metering) return;
  entry.metering = true;
  events_.began(step, entry.known.gpus);
}

void StepTable::EndMeter(const StepId& step, Entry& entry) {
  if (std::exchange(entry.metering, false))
    entry.metered = events_.ended(step, entry.machine.news().usage.cpu_us);
}

void StepTable::EndLap(Entry& entry, const char* name, std::optional<MonotonicTime>& since) {
  if (!since) return;
  auto us = std::chrono::duration_cast<std::chrono::microseconds>(loop_.Now() - *since).count();
  entry.own_laps.push_back({name, static_cast<std::uint32_t>(std::min<std::int64_t>(us, UINT32_MAX))});
  since.reset();
}

StepTable::Entry* StepTable::Find(const StepId& step) {
  auto at = steps_.find(step);
  return at == steps_.end() ? nullptr : at->second.get();
}

StepTable::Entry& StepTable::Make(const StepId& step) {
  auto& entry = steps_[step];
  entry = std::make_unique<Entry>(step);
  entry->known.step = step;
  return *entry;
}

void StepTable::SetBroker(BrokerClient* broker, std::string run_dir) {
  broker_ = broker;
  ++broker_generation_;
  if (!run_dir.empty()) run_dir_ = std::move(run_dir);
}

void StepTable::Reconcile(const std::vector<StepRecord>& listed) {
  std::map<StepId, StepMachine::Found> found;
  for (const StepRecord& record : listed)
    found[record.step] = record.running ? StepMachine::Found::kRunning : StepMachine::Found::kEnded;
  for (const auto& [id, how] : found) {
    if (Find(id) != nullptr) continue;
    Entry& entry = Make(id);
    if (auto known = known_steps_.Read(id)) {
      entry.known = std::move(*known);
    } else {
      Log(Level::kWarn, "what was known of a step is lost; it goes on without exchange",
          {{"step", ToString(id)}, {"error", known.error().message}});
    }
    Log(Level::kInfo, "found a step again", {{"step", ToString(id)}});
  }
  std::vector<StepId> ids;
  for (const auto& [id, entry] : steps_) ids.push_back(id);
  for (const StepId& id : ids) {
    auto at = found.find(id);
    if (Entry* entry = Find(id))
      Perform(id, entry->machine.Reconcile(at == found.end() ? StepMachine::Found::kAbsent : at->second));
  }
  RenewLeases();  // a broker that was started anew knows none
}

void StepTable::OnGone(const StepGone& gone) {
  Entry* entry = Find(gone.step);
  if (entry == nullptr) return;
  std::string reason = OneLine(gone.reason);
  if (reason == kLeaseOver) reason = LeaseWords(entry->known.lease_s);
  Perform(gone.step, entry->machine.OnGone(std::move(reason)));
}

void StepTable::Launch(LaunchPlan plan) {
  StepId id = plan.spec.step;
  if (Entry* entry = Find(id)) return Report(id, *entry);
  if (auto ended = ended_jobs_.find(id.job); ended != ended_jobs_.end() && id.attempt <= ended->second)
    return Refuse(id, "the job has ended");
  Entry& entry = Make(id);
  entry.known = KnownOf(plan);
  entry.plan = std::move(plan);
  Perform(id, entry.machine.Launch(events_.image_held(entry.plan->spec.image_digest)));
}

void StepTable::Refuse(const StepId& step, const std::string& reason, StepNews::End end) {
  if (Entry* entry = Find(step)) return Report(step, *entry);
  Perform(step, Make(step).machine.Refuse(end, reason));
}

void StepTable::Kill(const StepId& step, const std::string& reason) {
  constexpr std::uint32_t kGrace_s = 5;
  if (Entry* entry = Find(step)) {
    if (entry->machine.news().last()) {
      DropOutput(*entry);  // nobody shall wait for a reader any more
      return Report(step, *entry);
    }
    return Perform(step, entry->machine.OnKill(reason, kGrace_s));
  }
  // Nothing of it is here (it never arrived): say so in the way that is expected of a kill.
  Perform(step, Make(step).machine.OnKill(Cat(reason, " before it reached this node"), kGrace_s));
}

void StepTable::SetHeard(std::uint64_t boot_ms) {
  heard_boot_ms_ = boot_ms;
  RenewLeases();
}

bool StepTable::any_leased() const {
  return std::any_of(steps_.begin(), steps_.end(),
                     [](const auto& step) { return step.second->known.lease_s != 0; });
}

std::uint64_t StepTable::LeaseEnd(const Entry& entry) const {
  bool none = entry.known.lease_s == 0 || heard_boot_ms_ == 0;
  return none ? 0 : heard_boot_ms_ + std::uint64_t{entry.known.lease_s} * 1000;
}

void StepTable::RenewLeases() {
  if (broker_ == nullptr) return;
  for (const auto& [id, entry] : steps_) {
    std::uint64_t until = LeaseEnd(*entry);
    if (until != 0 && entry->machine.holds_node()) broker_->RenewLease(id, until, [](const Result<>&) {});
  }
}

void StepTable::Signal(const StepId& step, std::int32_t signal_number) {
  Entry* entry = Find(step);
  if (entry == nullptr || !entry->attached || signal_number < 1 || signal_number > 64) return;
  if (signal_number == SIGSTOP || (signal_number == SIGCONT && entry->frozen))
    return Freeze(step, *entry, signal_number == SIGSTOP);
  entry->link->Send(StepFrame::kSignal, signal_number);
}

void StepTable::SignalBeforeLimit(const StepId& step, const StepLimitSignal& signal) {
  Entry* entry = Find(step);
  if (entry == nullptr || !entry->attached || signal.signal_number < 1 || signal.signal_number > 64) return;
  entry->link->Send(StepFrame::kLimitSignal, signal);
}

void StepTable::Suspend(const StepId& step, bool suspended) {
  Entry* entry = Find(step);
  if (entry == nullptr || !entry->attached) return;
  entry->link->Send(StepFrame::kSuspend, suspended);  // its limit stands still with it
  Freeze(step, *entry, suspended);
}

// All of it at once, whatever it has forked; where there are no cgroups the ranks alone get the signal.
void StepTable::Freeze(const StepId& step, Entry& entry, bool frozen) {
  entry.frozen = frozen;
  auto signal = [this, step, frozen] {
    Entry* entry = Find(step);
    if (entry != nullptr && entry->attached)
      entry->link->Send(StepFrame::kSignal, frozen ? SIGSTOP : SIGCONT);
  };
  if (broker_ == nullptr) return signal();
  broker_->FreezeStep(step, frozen, Guarded([signal](const Result<>& done) {
                        if (!done) signal();
                      }));
}

void StepTable::Input(const StepId& step, StepStdin input) {
  constexpr std::size_t kEarlyBytesMax = 16 << 20;
  Entry* entry = Find(step);
  if (entry == nullptr || entry->machine.news().last()) return;
  if (entry->attached) return entry->link->Send(StepFrame::kStdin, input);
  entry->early_input_bytes += input.bytes.size();
  if (entry->early_input_bytes > kEarlyBytesMax)
    return Kill(step, "more input than this node keeps came before the step had started");
  entry->early_input.push_back(std::move(input));
}

void StepTable::Credit(const StepId& step, std::uint32_t bytes) {
  Entry* entry = Find(step);
  if (entry == nullptr) return;
  entry->output_allowed += bytes;
  SendOutput(step, *entry);
}

void StepTable::Acknowledge(const StepId& step, std::uint64_t sequence) {
  Entry* entry = Find(step);
  if (entry == nullptr) return;
  Effects effects = entry->machine.OnAck(sequence);
  // Until now stepd could still repeat what a peer may have missed.
  if (!effects.empty()) TellPeersGone(*entry, false);
  Perform(step, std::move(effects));
}

std::vector<StepNews> StepTable::Reports() const {
  std::vector<StepNews> reports;
  for (const auto& [id, entry] : steps_) {
    StepNews news = NewsOf(*entry);
    if (news.last() && !entry->held_output.empty()) {
      // Its last words come first: SetConnected sends them, and then this end.
      news = StepNews{.step = id, .kind = StepNews::kStarted, .laps = news.laps, .time_ms = news.time_ms};
    }
    reports.push_back(std::move(news));
  }
  return reports;
}

void StepTable::SetConnected(bool connected) {
  connected_ = connected;
  for (auto& [id, entry] : steps_) {
    // Credit is of one stream: the next one brings its own.
    if (!connected) entry->output_allowed = 0;
    if (connected && entry->machine.news().last() && !entry->held_output.empty()) entry->end_waits = true;
  }
}

void StepTable::RepeatEnds() {
  for (auto& [id, entry] : steps_) {
    if (entry->machine.state() == StepMachine::State::kEnded && !entry->end_waits) Report(id, *entry);
  }
}

void StepTable::Perform(const StepId& step, Effects effects) {
  StepId id = step;  // `step` may be part of what goes away
  for (const StepEffect& effect : effects) {
    Entry* entry = Find(id);
    if (entry == nullptr) return;
    PerformOne(id, *entry, effect);
  }
  CarryOutEnds();
}

void StepTable::EndJob(std::uint64_t job, std::uint32_t attempt, std::function<void()> done) {
  constexpr std::size_t kRememberedMax = 10000;
  auto& highest = ended_jobs_[job];
  highest = std::max(highest, attempt);
  while (ended_jobs_.size() > kRememberedMax) ended_jobs_.erase(ended_jobs_.begin());
  ending_[{job, attempt}] = std::move(done);
  std::vector<StepId> left;
  for (const auto& [id, entry] : steps_) {
    if (id.job == job && id.attempt == attempt) left.push_back(id);
  }
  for (const StepId& id : left) {
    Entry* entry = Find(id);
    if (entry == nullptr) continue;
    DropOutput(*entry);
    if (entry->end_waits) Report(id, *entry);
    Perform(id, entry->machine.OnEndJob());
  }
  CarryOutEnds();
}

void StepTable::CarryOutEnds() {
  if (broker_ == nullptr) return;
  for (auto at = ending_.begin(); at != ending_.end();) {
    const auto job = at->first.first;  // no structured binding: clang 14 does not let lambdas capture one
    const auto attempt = at->first.second;
    bool busy = std::any_of(steps_.begin(), steps_.end(), [&](const auto& step) {
      return step.first.job == job && step.first.attempt == attempt && step.second->machine.holds_node();
    });
    if (busy) {
      ++at;
      continue;
    }
    broker_->EndJob({job, attempt, 0}, Guarded([job, done = std::move(at->second)](const Result<>& ended) {
                      if (ended) return done();
                      Log(Level::kWarn, "the broker could not let a job go",
                          {{"job", job}, {"error", ended.error().message}});
                    }));
    at = ending_.erase(at);
  }
}

void StepTable::PerformOne(const StepId& step, Entry& entry, const StepEffect& effect) {
  // The answer to something we asked for, if the step is still there.
  auto later = [this, step](auto input) {
    return Guarded([this, step, input](auto&& answer) {
      if (Entry* entry = Find(step)) Perform(step, input(entry->machine, answer));
    });
  };
  switch (effect.kind) {
    case StepEffect::kFetchImage:
      entry.staging_since = loop_.Now();
      return events_.want_image(entry.plan->spec.image_digest, entry.plan->image_bytes,
                                later([](StepMachine& m, const Result<>& held) { return m.OnImage(held); }));
    case StepEffect::kAskBroker:
      return AskBroker(step, entry);
    case StepEffect::kConnect:
      BeginMeter(step, entry);
      loop_.Cancel(entry.connect_timer);
      entry.connect_timer = loop_.After(seconds(effect.delay_s), [this, step] { Connect(step); });
      return;
    case StepEffect::kCloseLink:
      return CloseLink(entry);
    case StepEffect::kReadStatus:
      return ReadStatus(step, entry);
    case StepEffect::kTerminate:
      if (entry.frozen) Freeze(step, entry, false);  // who stands still cannot be asked to end
      if (entry.attached)
        entry.link->Send(StepFrame::kTerminate, StepTerminate{effect.reason, effect.grace_s});
      return;
    case StepEffect::kArm:
      loop_.Cancel(entry.timer);
      entry.timer = loop_.After(seconds(effect.delay_s), [this, step] {
        if (Entry* entry = Find(step)) Perform(step, entry->machine.OnTimer());
      });
      return;
    case StepEffect::kDisarm:
      return loop_.Cancel(entry.timer);
    case StepEffect::kKillByBroker:
      if (broker_ == nullptr) return;
      return broker_->KillStep(step, later([](StepMachine& m, const Result<>& killed) {
                                 return killed ? m.OnGone({}) : StepMachine::Effects{};
                               }));
    case StepEffect::kReport:
      return Report(step, entry);
    case StepEffect::kAcknowledge:
      if (entry.attached) entry.link->Send(StepFrame::kAcknowledge);
      return;
    case StepEffect::kForget:
      if (broker_ == nullptr) return;
      return broker_->ForgetStep(
          step, later([](StepMachine& m, const Result<>& forgotten) { return m.OnForgotten(forgotten); }));
    case StepEffect::kDone:
      return Done(step);
  }
}

void StepTable::AskBroker(const StepId& step, Entry& entry) {
  if (broker_ == nullptr) return;  // Reconcile comes back to it
  std::uint64_t lease_end = LeaseEnd(entry);
  if (lease_end != 0 && lease_end <= BootMilliseconds())
    return Perform(step, entry.machine.OnLeaseOver(LeaseWords(entry.known.lease_s)));
  EndLap(entry, "stage", entry.staging_since);
  entry.starting_since = loop_.Now();
  auto answer = [this, step](const Result<>& started) {
    if (Entry* entry = Find(step)) {
      if (started) EndLap(*entry, "broker", entry->starting_since);
      Perform(step, entry->machine.OnStarted(started));
    }
    if (started || started.error().code != Code::kUnavailable) return;
    // Either the connection is lost, and Reconcile will say what became of the step, or (seen a turn later,
    // when a loss has been noticed) it is the broker's own answer.
    auto settle = [this, step, asked = broker_generation_, error = started.error()]() mutable {
      if (broker_ == nullptr || asked != broker_generation_) return;
      error.code = Code::kFailedPrecondition;
      if (Entry* entry = Find(step)) Perform(step, entry->machine.OnStarted(Failure(std::move(error))));
    };
    loop_.Post(Guarded(std::move(settle)));
  };
  if (!entry.plan)
    return answer(Fail(Code::kInternal, "nothing is known any more of what this step should run"));
  auto memfd = [&]() -> Result<UniqueFd> {
    std::string bytes = Encode(entry.plan->spec);
    TRY(DecodeStepSpec(bytes));  // stepd would refuse it, less plainly
    TRY(known_steps_.Write(entry.known));
    return MakeSealedMemfd("slipway-step-spec", bytes);
  }();
  if (!memfd) return answer(Failure(std::move(memfd).error()));
  BeginMeter(step, entry);
  broker_->StartStep(entry.plan->credential, entry.plan->devices,
                     {entry.plan->room, lease_end, OffersPmix(entry.plan->spec.mpi)}, std::move(*memfd),
                     Guarded(answer));
}

void StepTable::Connect(const StepId& step) {
  Entry* entry = Find(step);
  if (entry == nullptr || entry->machine.state() != StepMachine::State::kAttaching) return;
  entry->plan.reset();
  StepdLink::Events events;
  events.frame = [this, step](StepFrame kind, std::string_view payload) {
    return OnFrame(step, kind, payload);
  };
  events.lost = [this, step](std::string why) {
    if (Entry* entry = Find(step)) {
      if (entry->machine.state() != StepMachine::State::kFarewell)  // it goes when it is told that it may
        Log(Level::kInfo, "the connection to a stepd is lost", {{"step", ToString(step)}, {"reason", why}});
      CloseLink(*entry);
      Perform(step, entry->machine.OnStepdLost(OneLine(why)));
    }
  };
  auto link = StepdLink::Connect(loop_, StepDir(step) + "/sock", std::move(events));
  if (!link) return Perform(step, entry->machine.OnStepdLost(OneLine(link.error().message)));
  entry->link = std::move(*link);
  entry->link->Send(StepFrame::kAttach, StepAttach{});
}

void StepTable::CloseLink(Entry& entry) {
  loop_.Cancel(entry.connect_timer);
  entry.attached = false;
  entry.link.reset();
}

void StepTable::ReadStatus(const StepId& step, Entry& entry) {
  auto result = ReadStatusFile(StepDir(step), step, entry.known.ranks);
  if (!result)
    Log(Level::kInfo, "a step left no complete status",
        {{"step", ToString(step)}, {"error", result.error().message}});
  // systemd ends what is in the holder's unit when the holder ends; the next broker only finds that it is
  // gone.
  std::string cause;
  if (!result && known_steps_.OlderThan(step, run_dir_ + "/holder.sock"))
    cause = "slipway-steps.service was started anew under it, which ends the steps of its node";
  Perform(step, entry.machine.OnStatus(result ? std::optional(std::move(*result)) : std::nullopt, cause));
}

void StepTable::Report(const StepId& step, Entry& entry) {
  if (entry.machine.news().last()) EndMeter(step, entry);
  StepNews news = NewsOf(entry);
  news.time_ms = NowMs();
  if (news.kind == StepNews::kEnded && news.exit_code != 0) news.first_failure_ms = news.time_ms;
  if (news.last() && news.exit_code != 0) TellPeersGone(entry, true);
  // Its last words come first, as fast as the controller takes them.
  entry.end_waits = news.last() && !entry.held_output.empty();
  loop_.Cancel(entry.end_timer);
  if (!entry.end_waits) return events_.report(news);
  // Whoever ended it need not wait for a reader who has stopped.
  if (!entry.machine.kill_wanted()) return;
  entry.end_timer = loop_.After(seconds(2), [this, step] {
    Entry* entry = Find(step);
    if (entry == nullptr) return;
    DropOutput(*entry);
    Report(step, *entry);
  });
}

// A clean end concerns only those who talked to us.
void StepTable::TellPeersGone(Entry& entry, bool all) {
  if (std::exchange(entry.met, false)) ToStep(entry, 0, kBatchStep, {.gone = "the step has ended there"});
  if (!entry.known.exchanges) return;
  entry.known.exchanges = false;  // once
  const StepNews& news = entry.machine.news();
  std::string why = news.reason.empty() ? std::string("its part of the step has ended") : news.reason;
  for (std::uint32_t node = 0; node < entry.known.nodes.size(); ++node) {
    if (node != entry.known.node_index && (all || entry.exchanged.count(node) != 0))
      events_.to_peer(entry.known, node, {.gone = why, .ends_told = news.by_stepd});
  }
}

void StepTable::Done(const StepId& step) {
  Entry* entry = Find(step);
  EndMeter(step, *entry);
  loop_.Cancel(entry->timer);
  loop_.Cancel(entry->connect_timer);
  loop_.Cancel(entry->end_timer);
  known_steps_.Remove(step);
  held_.Take(step);
  steps_.erase(step);
}

}  // namespace slipway
