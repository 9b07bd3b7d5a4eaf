// SPDX-License-Identifier: Apache-2.0
// The controller's process: how it starts, dies, and what it does to the world.
#include <chrono>

#include "scheduler/sim/chaos_world.h"
#include "scheduler/sim/twin_policy.h"

namespace slipway::scheduler {

using std::chrono::milliseconds;

void World::StartController() {
  Result<Replayed> replayed = Replay(store_);
  if (!replayed) return Broken(Cat("replay: ", replayed.error().message));
  for (JobId job : accepted_) {
    if (replayed->state.FindJob(job) == nullptr && !replayed->state.FindUnmade(job))
      return Broken(Cat("job ", job.value, " was accepted and is lost"));
  }
  for (const auto& [job, outcome] : ended_) {
    if (replayed->state.FindJob(job)->outcome != outcome)
      return Broken(Cat("job ", job.value, " had ended otherwise"));
  }
  Epoch epoch = *store_.BeginEpoch(*store_.CurrentEpoch());
  Trace(Cat("controller starts, epoch ", epoch, ", ", replayed->records, " records"));
  promised_.clear();
  presence_.clear();
  controller_began_ = loop_.Now();
  // A plan that is made anew is made as a whole: one that looks only at what changed may differ.
  std::unique_ptr<Policy> policy;
  if (quick_) {
    policy = MakePlanningPolicy(nullptr, site_);
  } else {
    policy = std::make_unique<TwinPolicy>(site_);
  }
  controller_ = std::make_unique<SimController>(store_, loop_, *this, std::move(*replayed), epoch, site_,
                                                std::move(policy));
  if (!calm_ && faults_.full_disk_s > 0 && rng_.Chance(200)) store_.FailOperation(rng_.Between(1, 200));
  controller_->Start();
}

void World::OnControllerDead(const std::string& why) {
  ++result_.kills;
  std::size_t torn = rng_.Below(store_.waiting() + 1);
  Trace(Cat("controller dead: ", why, "; ", store_.waiting(), " commits waited, ", torn,
            " of them reached the disk"));
  store_.Crash(torn);
  graveyard_.push_back(std::move(controller_));  // it is on the stack
  loop_.Post([this] { graveyard_.clear(); });
  for (auto& node : nodes_) {
    if (node->session() != 0) {
      loop_.After(milliseconds(rng_.Below(2000)),
                  [n = node.get(), s = node->session()] { n->OnStreamBroken(s); });
    }
  }
  streams_.clear();
  loop_.After(milliseconds(rng_.Below(calm_ ? 100 : 8000)), [this] { StartController(); });
}

void World::Feed(const Input& input) {
  if (!controller_ || result_.failure) return;
  if (const auto* change = std::get_if<ChangeJob>(&input)) {  // it, or all of the array, asked for it
    promised_.erase(change->job);
    const State& state = controller_->controller().state();
    if (auto array = state.arrays.find(change->job); array != state.arrays.end())
      promised_.erase(promised_.lower_bound(array->second.first_task),
                      promised_.lower_bound(array->second.TaskId(array->second.tasks)));
  }
  ++result_.inputs;
  CheckStarts();
  controller_->Do(input);
  CheckState();
  CheckPromises();
  if (rng_.Chance(20)) CheckReplay();
  if (controller_ && rng_.Chance(5)) {
    auto soon = [this](std::function<void()> task) { loop_.Post(std::move(task)); };
    controller_->executor().MakeSnapshot(soon, soon);
  }
  if (store_.waiting() > 0 && !commit_waits_) CommitSome();
}

void World::CommitSome() {
  commit_waits_ = true;
  loop_.After(milliseconds(rng_.Below(calm_ ? 5 : faults_.commit_ms_max)), [this] {
    commit_waits_ = false;
    store_.Commit(1 + rng_.Below(store_.waiting()));
    if (store_.waiting() > 0) CommitSome();
  });
}

void World::OnCommitted(const Event& event) {
  Trace(Cat("committed ", Describe(event)));
  const auto* end = std::get_if<JobEnded>(&event.body);
  if (end != nullptr && !ended_.try_emplace(end->job, end->outcome).second) {
    Broken(Cat("job ", end->job.value, " ended twice"));
  }
}

void World::ToClient(const Reply& reply) {
  if (!reply.answer) return Trace(Cat("client is refused: ", reply.answer.error().message));
  const auto* job = std::get_if<JobAccepted>(&*reply.answer);
  if (job == nullptr) return;
  Trace(Cat("client is told of job ", job->job.value));
  const State& state = controller_->controller().state();
  auto array = state.arrays.find(job->job);
  if (array == state.arrays.end()) {
    accepted_.insert(job->job);
    for (JobId component : state.ComponentsOf(job->job)) accepted_.insert(component);
  } else {
    for (std::uint32_t i = 0; i < job->tasks; ++i) accepted_.insert({array->second.first_task.value + i});
  }
}

}  // namespace slipway::scheduler
