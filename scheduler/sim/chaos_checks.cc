// SPDX-License-Identifier: Apache-2.0
// What must hold at every step, and when everything is calm again.
#include <algorithm>

#include "scheduler/core/placement.h"
#include "scheduler/sim/chaos_world.h"
#include "scheduler/sim/checks.h"

namespace slipway::scheduler {

void World::OnStepStarts(ModelNode& node, const LaunchStep& launch) {
  ++result_.started;
  Trace(Cat(node.name(), " starts ", ToString(launch.step)));
  if (!started_.insert({launch.step, node.name()}).second) {
    Broken(Cat("step ", ToString(launch.step), " was started twice on ", node.name()));
  }
  for (const auto& other : nodes_) {
    for (const auto& [id, step] : other->steps()) {
      if (step.ended || (id == launch.step && other.get() == &node)) continue;
      if (id.job == launch.step.job && id.attempt != launch.step.attempt) {
        Broken(Cat("job ", id.job.value, " runs twice at once: ", ToString(id), " on ", other->name(),
                   " still"));
      }
      if (other.get() == &node && id.job != launch.step.job && !HasLent(id) &&
          (step.cores.Intersects(launch.allocation.cores) || step.gpus.Intersects(launch.allocation.gpus))) {
        Broken(Cat("two jobs run on the same core or GPU of ", node.name(), ": ", ToString(id), " and ",
                   ToString(launch.step)));
      }
    }
  }
}

// That its cores are another's was decided; the node may learn it a moment later. Without a controller nobody
// knows.
bool World::HasLent(const StepId& id) const {
  const Job* job = controller_ ? controller_->controller().state().FindJob(id.job) : nullptr;
  return !controller_ || (job != nullptr && job->attempt == id.attempt && job->lent_to);
}

void World::OnStepResumes(ModelNode& node, const StepId& id) {
  if (HasLent(id)) return;  // an old message that was late; it is told again to stand still
  const CoreSet& cores = node.steps().at(id).cores;
  for (const auto& [other, step] : node.steps()) {
    if (other.job != id.job && !step.ended && !HasLent(other) && step.cores.Intersects(cores))
      Broken(
          Cat("step ", ToString(id), " goes on, and ", ToString(other), " has its cores on ", node.name()));
  }
}

void World::OnStepSignalled(ModelNode& node, const SignalStep& signal) {
  ++result_.signals;
  if (!node.steps().at(signal.step).runs)
    Broken(Cat("step ", ToString(signal.step), " was signalled on ", node.name(), " before it ran there"));
  const Job* job = controller_ ? controller_->controller().state().FindJob(signal.step.job) : nullptr;
  if (job == nullptr || job->attempt != signal.step.attempt) return;
  const LimitSignal& asked = job->spec->signal;
  if (asked.number != signal.signal || asked.batch_only != (signal.step.step == kBatchStep))
    Broken(Cat("step ", ToString(signal.step), " got signal ", signal.signal,
               ", which its job did not ask for"));
}

// Whose time is nearly over was told, or will be at this very moment.
void World::CheckSignals() {
  // What became due while there was no controller is said by its first timer, at this very moment.
  if (!controller_ || loop_.Now() < clock_settles_ || loop_.Now() == controller_began_) return;
  const State& state = controller_->controller().state();
  for (JobId id : state.active) {
    const Job& job = *state.FindJob(id);
    std::optional<Time> at = job.suspended() ? std::nullopt : job.SignalAt(state.now);
    // One that was started with less time than that is told as soon as it has started.
    if (at) at = std::max(*at, job.started);
    if (at && at->PlusSeconds(2) < state.now)
      Broken(Cat("the signal of job ", id.value, " was due ", (state.now.us - at->us) / 1000, " ms ago"));
  }
}

void World::CheckState() {
  if (!controller_) return;
  CheckSignals();
  if (std::optional<std::string> wrong = FindWrong(controller_->controller().state(), *site_)) Broken(*wrong);
  if (std::optional<std::string> wrong = FindExceeded(*site_, controller_->controller().state()))
    Broken(*wrong);
}

// What was started since the last look, before a reservation is changed.
void World::CheckStarts() {
  const State& state = controller_->controller().state();
  for (JobId id : state.active) {
    const Job& job = *state.FindJob(id);
    if (!seen_started_.insert({id, job.attempt}).second) continue;
    if (std::optional<std::string> wrong = FindIntruder(*site_, state, job)) Broken(*wrong);
  }
}

// A start that was promised is kept, and moves only to an earlier time, unless nodes fail, a job overruns its
// limit or the job is given another priority (or the controller forgets it by dying).
void World::CheckPromises() {
  if (!controller_ || loop_.Now() < clock_settles_) return;
  const Controller& controller = controller_->controller();
  const Policy& policy = controller.policy();
  if (std::optional<std::string> wrong = policy.FindWrong(controller.state())) return Broken(*wrong);
  if (std::optional<std::string> wrong = FindOverBound(*site_, controller.state(), policy))
    return Broken(*wrong);
  for (auto known = promised_.begin(); known != promised_.end();) {
    const Job* job = controller.state().FindJob(known->first);
    bool started = job != nullptr && job->attempt != known->second.attempt;
    bool gone = job == nullptr || started || job->state != JobState::kPending || job->hold != Hold::kNone ||
                job->priority() != known->second.priority;
    bool missed = started && job->started > known->second.at;
    if (missed && known->second.disturbances == policy.disturbances())
      return Broken(Cat("job ", known->first.value, " was promised a start ",
                        (job->started.us - known->second.at.us) / 1000, " ms before it started"));
    known = gone ? promised_.erase(known) : std::next(known);
  }
  for (const PendingKey& key : controller.state().pending) {
    // A limit that others reach meanwhile takes a promise back.
    std::vector<JobId> counted = controller.state().ComponentsOf(key.job);
    if (counted.empty()) counted = {key.job};
    if (std::ranges::any_of(counted, [&](JobId one) {
          return IsLimited(*site_, controller.state(), *controller.state().FindJob(one));
        })) {
      promised_.erase(key.job);
      continue;
    }
    std::optional<PlannedStart> planned = policy.PlannedStartOf(key.job);
    if (!planned || planned->at > controller.state().now.PlusSeconds(30 * 24 * 3600)) continue;
    const Job& waits = *controller.state().FindJob(key.job);
    Promised now{planned->at, policy.disturbances(), waits.attempt, waits.priority()};
    auto [known, first] = promised_.try_emplace(key.job, now);
    if (first) ++result_.promises;
    if (planned->at > known->second.at && known->second.disturbances == now.disturbances)
      return Broken(Cat("the planned start of job ", key.job.value, " was moved by ",
                        planned->at.us - known->second.at.us, " us, from ",
                        (known->second.at.us - controller.state().now.us) / 1000, " ms ahead"));
    known->second = now;
  }
}

void World::CheckReplay() {
  if (!controller_ || !controller_->executor().idle() || store_.waiting() > 0) return;
  Result<Replayed> replayed = Replay(store_);
  if (!replayed) return Broken(Cat("replay: ", replayed.error().message));
  if (EncodeState(replayed->state) != EncodeState(controller_->controller().state()))
    Broken("replay is not the live state");
}

bool World::Drained() const {
  if (!controller_ || !controller_->controller().state().live.empty()) return false;
  for (const auto& node : nodes_) {
    if (node->unacknowledged() > 0) return false;
    for (const auto& [id, step] : node->steps()) {
      if (!step.ended) return false;
    }
  }
  return true;
}

void World::CheckDrained() {
  if (!Drained()) {
    std::string left;
    const std::set<JobId> live = controller_ ? controller_->controller().state().live : std::set<JobId>();
    for (JobId id : live) {
      const Job& job = *controller_->controller().state().FindJob(id);
      left += Cat("; job ", id.value, " ", JobStateName(job.state), " ",
                  PendingReasonText(controller_->controller().ReasonOf(id)));
    }
    return Broken(Cat("the faults have stopped, but jobs, steps or reports are left", left));
  }
  CheckReplay();
  const State& state = controller_->controller().state();
  for (JobId job : accepted_) {
    const Job* found = state.FindJob(job);
    std::optional<Job> unmade = state.FindUnmade(job);  // cancelled before it was a job
    if (found == nullptr && unmade) found = &*unmade;
    if (found == nullptr || !IsTerminal(found->state))
      return Broken(Cat("job ", job.value, " was accepted and has no end"));
  }
  result_.jobs = accepted_.size();
}

}  // namespace slipway::scheduler
