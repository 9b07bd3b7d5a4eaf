// SPDX-License-Identifier: Apache-2.0
#include "scheduler/sim/model_node.h"

#include <chrono>
#include <utility>

namespace slipway::scheduler {

using std::chrono::milliseconds;

ModelNode::ModelNode(std::string name, NodeFacts facts, SimLoop& loop, Rng& rng, NodeSurroundings& world)
    : name_(std::move(name)), facts_(std::move(facts)), loop_(loop), rng_(rng), world_(world) {
  Later(1000, [this] { Connect(); });
}

void ModelNode::Later(std::uint32_t ms_max, Loop::Task task) {
  loop_.After(milliseconds(rng_.Below(ms_max + 1)), [this, boot = boot_, task = std::move(task)] {
    if (boot == boot_ && powered_) task();
  });
}

Time ModelNode::Clock() const {
  return {std::chrono::duration_cast<std::chrono::microseconds>(loop_.WallNow().time_since_epoch()).count()};
}

void ModelNode::Connect() {
  if (!powered_ || !agent_up_) return;
  std::uint64_t tries = ++connect_tries_;
  registered_ = false;
  session_ = world_.OpenStream(*this);
  register_sent_ = loop_.Now();
  if (session_ != 0) {
    RegisterNode input{name_, session_, facts_, Cat("boot-", boot_), "", {}, {}};
    std::set<StepId> have;  // running, or ended and not acknowledged
    for (const auto& [id, step] : steps_) {
      if (!step.ended) have.insert(id);
    }
    for (const auto& [seq, report] : reports_) have.insert(report.step);
    input.steps = {have.begin(), have.end()};
    world_.ToController(*this, session_, std::move(input));
  }
  Later(3000, [this, tries] {
    if (!registered_ && tries == connect_tries_) Connect();
  });
}

void ModelNode::BeatLater() {
  Later(2000, [this, session = session_] {
    if (!registered_ || session != session_) return;
    world_.Beat(*this, session);
    BeatLater();
  });
}

void ModelNode::OnBeatHeard(std::uint64_t session, MonotonicTime sent) {
  if (session == session_ && agent_up_ && powered_) heard_ = std::max(heard_, sent);
}

MonotonicTime ModelNode::LeaseEnd(std::uint32_t lease_s) const {
  return heard_ + std::chrono::seconds(lease_s);
}

// Whether the agent is there or not.
void ModelNode::WatchLease(const StepId& id) {
  auto at = steps_.find(id);
  if (at == steps_.end() || at->second.ended || at->second.lease_s == 0) return;
  MonotonicTime end = LeaseEnd(at->second.lease_s);
  if (end <= loop_.Now()) return Later(1500, [this, id] { End(id, 137, EndReason::kNodeFailed); });
  loop_.After(end - loop_.Now(), [this, id, boot = boot_] {
    if (boot == boot_ && powered_) WatchLease(id);
  });
}

void ModelNode::OnStreamBroken(std::uint64_t session) {
  if (session != session_ || session == 0) return;
  session_ = 0;
  registered_ = false;
  Later(2000, [this] {
    if (session_ == 0) Connect();
  });
}

void ModelNode::KillAgent() {
  agent_up_ = registered_ = false;
  session_ = 0;
}

void ModelNode::StartAgent() {
  if (agent_up_) return;
  agent_up_ = true;
  Connect();
}

void ModelNode::PowerOff() {
  powered_ = agent_up_ = registered_ = false;
  session_ = 0;
  ++boot_;
  steps_.clear();
  heard_ = {};
  ended_jobs_.clear();
  reports_.clear();
  resend_waits_ = false;
}

void ModelNode::PowerOn() {
  if (powered_) return;
  powered_ = true;
  StartAgent();
}

void ModelNode::OnMessage(std::uint64_t session, const NodeMessage& message) {
  if (session != session_ || !agent_up_ || !powered_) return;
  if (std::holds_alternative<Registered>(message)) {
    if (!registered_) BeatLater();
    registered_ = true;
    heard_ = std::max(heard_, register_sent_);
    return SendReports();
  }
  if (!registered_) return;  // overtook Registered; it will be said again
  if (const auto* launch = std::get_if<LaunchStep>(&message)) return Launch(*launch);
  if (const auto* kill = std::get_if<KillStep>(&message)) return Kill(kill->step);
  if (const auto* end = std::get_if<EndJob>(&message)) return Finish(*end);
  if (const auto* suspend = std::get_if<SuspendStep>(&message)) {
    auto step = steps_.find(suspend->step);
    if (step == steps_.end() || step->second.ended || step->second.suspended == suspend->suspended) return;
    step->second.suspended = suspend->suspended;
    if (!suspend->suspended) world_.OnStepResumes(*this, suspend->step);
    return;
  }
  if (const auto* signal = std::get_if<SignalStep>(&message)) {
    auto step = steps_.find(signal->step);
    if (step == steps_.end() || step->second.ended || std::exchange(step->second.signalled, true)) return;
    world_.OnStepSignalled(*this, *signal);
    // Some programs write down how far they are, and end.
    if (rng_.Chance(300)) Later(1000, [this, id = signal->step] { End(id, 0, EndReason::kExited); });
    return;
  }
  if (const auto* warn = std::get_if<WarnStep>(&message)) {  // some programs end when they are warned
    if (rng_.Chance(500)) Later(1000, [this, id = warn->step] { End(id, 143, EndReason::kExited); });
    return;
  }
  if (const auto* ack = std::get_if<AckReport>(&message)) reports_.erase(ack->seq);
  if (const auto* fetch = std::get_if<Prefetch>(&message)) {
    Later(3000, [this, digest = fetch->digest] {
      world_.ToController(*this, session_, ReportImage{name_, digest});
    });
  }
}

void ModelNode::Launch(const LaunchStep& launch) {
  if (ended_jobs_.count({launch.step.job, launch.step.attempt}) > 0) return;
  ModelStep step{false, launch.allocation.cores, launch.allocation.gpus, false, launch.lease_s};
  if (!steps_.try_emplace(launch.step, std::move(step)).second) return SendReports(&launch.step);
  if (launch.lease_s != 0 && LeaseEnd(launch.lease_s) <= loop_.Now())  // it came late
    return End(launch.step, 125, EndReason::kNodeUnfit);
  WatchLease(launch.step);
  world_.OnStepStarts(*this, launch);
  if (!world_.calm() && rng_.Chance(50)) {
    return End(launch.step, 125, rng_.Chance(300) ? EndReason::kNodeUnfit : EndReason::kLaunchFailed);
  }
  Later(500, [this, id = launch.step] {
    auto step = steps_.find(id);
    if (step == steps_.end() || step->second.ended) return;
    step->second.runs = true;
    Report(id, ReportKind::kStarted, 0, EndReason::kNone);
    Work(id, rng_.Chance(300) ? 60'000 : 5'000);
  });
}

// What stands still does not end by itself.
void ModelNode::Work(const StepId& id, std::uint32_t ms_max) {
  Later(ms_max, [this, id] {
    auto step = steps_.find(id);
    if (step != steps_.end() && step->second.suspended && !step->second.ended) return Work(id, 5'000);
    End(id, rng_.Chance(150) ? 7 : 0, EndReason::kExited);
  });
}

void ModelNode::Kill(const StepId& step) {
  if (steps_.try_emplace(step, ModelStep{true, {}, {}}).second) {  // never seen, and never to be started now
    return Report(step, ReportKind::kEnded, 137, EndReason::kKilled);
  }
  Later(1500, [this, step] { End(step, 137, EndReason::kKilled); });
  SendReports(&step);
}

void ModelNode::End(const StepId& id, std::int32_t exit_code, EndReason reason) {
  auto step = steps_.find(id);
  if (step == steps_.end() || step->second.ended) return;
  step->second.ended = true;
  Report(id, ReportKind::kEnded, exit_code, reason);
}

void ModelNode::Finish(const EndJob& end) {
  ended_jobs_.insert({end.job, end.attempt});
  Later(1500, [this, end] {
    for (const auto& [id, step] : steps_) {
      if (id.job == end.job && id.attempt == end.attempt && !step.ended) End(id, 137, EndReason::kKilled);
    }
    world_.ToController(*this, session_, JobReleased{name_, session_, end.job, end.attempt});
  });
}

void ModelNode::Report(const StepId& step, ReportKind kind, std::int32_t exit_code, EndReason reason) {
  std::uint64_t seq = next_seq_++;
  reports_[seq] = {name_, 0, seq, step, kind, exit_code, reason, "", Clock(), {}};
  SendReports(&step);
}

void ModelNode::SendReports(const StepId* only) {
  if (!registered_) return;
  for (auto& [seq, report] : reports_) {
    if (only != nullptr && report.step != *only) continue;
    report.session = session_;
    world_.ToController(*this, session_, report);
  }
  if (reports_.empty() || resend_waits_) return;
  resend_waits_ = true;
  Later(5000, [this] {
    resend_waits_ = false;
    SendReports();
  });
}

}  // namespace slipway::scheduler
