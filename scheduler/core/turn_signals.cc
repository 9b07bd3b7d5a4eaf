// SPDX-License-Identifier: Apache-2.0
// A program that is told a while before its time is over can write down how far it has come. When that is
// follows from the state; that it was said is an event, so that neither a restart nor another limit says it
// twice. It is said to nodes again and again until the step ends (Outstanding): they act upon it once.
#include "scheduler/core/outstanding.h"
#include "scheduler/core/turn.h"

namespace slipway::scheduler {

// Which jobs an event may have given another moment.
void Controller::Turn::WatchSignals(const Event& event) {
  auto watch = [this](JobId id) {
    const Job* job = state().FindJob(id);
    auto at = job == nullptr || job->suspended() ? std::nullopt : job->SignalAt(now_);
    if (at) c_.signal_at_.insert({*at, id});
  };
  if (const auto* started = std::get_if<JobStarted>(&event.body)) {
    watch(started->job);
  } else if (const auto* resumed = std::get_if<JobResumed>(&event.body)) {
    watch(resumed->job);
  } else if (const auto* updated = std::get_if<JobUpdated>(&event.body)) {
    watch(updated->job);
  } else if (const auto* ended = std::get_if<JobEnded>(&event.body)) {
    const Job& job = *state().FindJob(ended->job);
    if (job.spec->signal.number != 0)
      c_.signal_at_.erase({job.LimitAt(now_).PlusSeconds(-std::int64_t{job.spec->signal.seconds}), job.id});
  }
}

void Controller::Turn::SendSignals() {
  while (!c_.signal_at_.empty() && c_.signal_at_.begin()->first <= now_) {
    JobId id = c_.signal_at_.begin()->second;
    c_.signal_at_.erase(c_.signal_at_.begin());
    const Job* job = state().FindJob(id);
    // An entry of an earlier attempt, of another limit, or of before it stood still: there is another one.
    auto at = job == nullptr || job->suspended() ? std::nullopt : job->SignalAt(now_);
    if (!at || now_ < *at) continue;
    Record(JobSignalled{id, job->attempt});
    for (const Step& step : job->steps) {
      if (!step.signalled || step.kill_requested) continue;
      for (const StepNode& part : step.nodes) {
        if (part.state == StepState::kRunning) Say(part.node, MakeSignal(*job, step));
      }
    }
  }
}

}  // namespace slipway::scheduler
