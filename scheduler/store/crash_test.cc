// SPDX-License-Identifier: Apache-2.0
// The promise "nothing lost", tried at every place where the controller can die: one scenario is run again
// and again, ended at its Nth effect or its Nth store operation, and what a client was told must be there
// afterwards.
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "scheduler/core/controller.h"
#include "scheduler/core/test_cluster.h"
#include "scheduler/store/executor.h"
#include "scheduler/store/fault_store.h"

namespace slipway::scheduler {
namespace {

void AtOnce(std::function<void()> task) { task(); }

// A controller process on a store that outlives it, and a node that starts and ends steps as told, at once.
class Process final : public EffectSink {
 public:
  Process(FaultStore& store, Time& now, std::uint64_t effects_left)
      : store_(store), now_(now), effects_left_(effects_left) {
    store.set_post([](std::function<void()> task) { task(); });
    Result<Replayed> replayed = Replay(store);
    CHECK(replayed.has_value());
    Epoch epoch = *store.BeginEpoch(*store.CurrentEpoch());
    controller.emplace(std::move(replayed->state));
    executor.emplace(store, *this, epoch, replayed->revision);
    Run(controller->Begin(epoch, now));
  }

  void Do(const Input& input) {
    if (dead) return;
    now_.us += 1000;
    Run(controller->Handle(input, now_));
    while (!dead && tick_wanted_) {
      tick_wanted_ = false;
      Run(controller->Handle(Tick{}, now_));
    }
  }

  void OnSend(const Send& send) override {
    if (!Alive()) return;
    if (const auto* launch = std::get_if<LaunchStep>(&send.message)) launches.push_back(launch->step);
    if (const auto* end = std::get_if<EndJob>(&send.message)) ends.push_back(*end);
  }
  void OnReply(const Reply& reply) override {
    if (Alive() && reply.answer && std::holds_alternative<JobAccepted>(*reply.answer)) {
      accepted.insert(std::get<JobAccepted>(*reply.answer).job);
    }
  }
  void OnTimer(Time at) override { tick_wanted_ = at <= now_; }
  void OnStoreFailed(const Error&) override { dead = true; }
  void OnNoSnapshot(const Error& error) override { ADD_FAILURE() << error.message; }

  std::optional<Controller> controller;
  std::optional<Executor> executor;
  bool dead = false;
  std::set<JobId> accepted;
  std::vector<StepId> launches;
  std::vector<EndJob> ends;

 private:
  bool Alive() {
    if (!dead && effects_left_-- == 0) dead = true;
    return !dead;
  }
  void Run(std::vector<Effect> effects) {
    for (Effect& effect : effects) {  // one at a time: it may die between any two
      if (std::holds_alternative<Persist>(effect) && !Alive()) return;
      std::vector<Effect> one;
      one.push_back(std::move(effect));
      executor->Run(std::move(one));
      if (dead) return;
    }
  }

  FaultStore& store_;
  Time& now_;
  std::uint64_t effects_left_;
  bool tick_wanted_ = false;
};

// The node's side, durable as on a real node.
struct NodeSide {
  std::map<StepId, bool> steps;  // ended?
  std::map<StepId, int> started;
  std::uint64_t session = 0;

  void Register(Process& process) {
    std::vector<StepId> have;
    for (auto& [step, ended] : steps) have.push_back(step);
    process.Do(RegisterNode{"n1", ++session, {.cores = 2}, "boot", "", {}, have});
    for (auto& [step, ended] : steps) Report(process, step, ended);
  }
  void Report(Process& process, const StepId& step, bool ended) {
    process.Do(StepReport{"n1",
                          session,
                          1,
                          step,
                          ended ? ReportKind::kEnded : ReportKind::kStarted,
                          0,
                          EndReason::kExited,
                          "",
                          {},
                          {}});
  }
  // Does what it was told since the last call.
  bool Work(Process& process) {
    std::vector<StepId> launches = std::exchange(process.launches, {});
    std::vector<EndJob> ends = std::exchange(process.ends, {});
    for (const StepId& step : launches) {
      if (steps.try_emplace(step, false).second) ++started[step];
      Report(process, step, false);
      steps[step] = true;
      Report(process, step, true);
    }
    for (const EndJob& end : ends) process.Do(JobReleased{"n1", session, end.job, end.attempt});
    return !launches.empty() || !ends.empty();
  }
};

struct Scenario {
  FaultStore store{[](std::function<void()> task) { task(); }};
  Time now{1'700'000'000'000'000};
  NodeSide node;
  std::set<JobId> accepted;

  // True when the process got to the end.
  bool Life(std::uint64_t effects_left, int jobs) {
    Process process(store, now, effects_left);
    if (!process.dead) node.Register(process);
    for (int i = 0; i < jobs; ++i) process.Do(SubmitJob{{1}, SmallJob()});
    while (!process.dead && node.Work(process)) {
    }
    accepted.merge(process.accepted);
    return !process.dead;
  }

  void ExpectAllEndedOnce(std::uint64_t n) {
    Result<Replayed> replayed = Replay(store);
    ASSERT_TRUE(replayed.has_value());
    for (JobId job : accepted) {
      const Job* found = replayed->state.FindJob(job);
      ASSERT_NE(found, nullptr) << "job " << job.value << " was lost by a crash at " << n;
      EXPECT_EQ(found->state, JobState::kCompleted) << "job " << job.value << ", crash at " << n;
    }
    EXPECT_TRUE(replayed->state.live.empty()) << "crash at " << n;
    for (auto& [step, times] : node.started) EXPECT_EQ(times, 1) << ToString(step) << ", crash at " << n;
  }
};

TEST(CrashEnumeration, NoAcknowledgedJobIsLostWhereverTheControllerDies) {
  std::uint64_t n = 0;
  for (bool whole = false; !whole; ++n) {
    ASSERT_LT(n, 1000U);
    Scenario run;
    whole = run.Life(n, 5);
    run.store.Crash();
    ASSERT_TRUE(run.Life(UINT64_MAX, 1));
    run.ExpectAllEndedOnce(n);
    if (HasFatalFailure()) return;
  }
  EXPECT_GT(n, 50U) << "the scenario has become too short to mean anything";
}

TEST(CrashEnumeration, NoAcknowledgedJobIsLostWhereverTheDiskFills) {
  std::uint64_t n = 1;
  for (bool whole = false; !whole; ++n) {
    ASSERT_LT(n, 1000U);
    Scenario run;
    run.store.FailOperation(n);
    whole = run.Life(UINT64_MAX, 5);
    run.store.Crash();
    ASSERT_TRUE(run.Life(UINT64_MAX, 1));
    run.ExpectAllEndedOnce(n);
    if (HasFatalFailure()) return;
  }
  EXPECT_GT(n, 20U);
}

TEST(Executor, TellsNobodyBeforeTheCommit) {
  FaultStore store([](std::function<void()> task) { task(); });
  Time now{1};
  Process process(store, now, UINT64_MAX);
  process.Do(RegisterNode{"n1", 1, {.cores = 2}, "boot", "", {}, {}});
  ASSERT_TRUE(process.executor->idle());
  store.CommitAtOnce(false);
  process.Do(SubmitJob{{1}, SmallJob()});
  bool read = false;
  process.executor->AfterCommit([&] { read = true; });
  EXPECT_TRUE(process.accepted.empty() && process.launches.empty() && !read);
  store.Commit(1);
  EXPECT_EQ(process.accepted.size(), 1U);
  EXPECT_TRUE(process.launches.empty()) << "its start is a commit of its own";
  store.Commit();
  EXPECT_EQ(process.launches.size(), 1U);
  EXPECT_TRUE(read && process.executor->idle());
}

TEST(Executor, ASnapshotAndTheRecordsBehindItAreTheState) {
  Scenario run;
  Process process(run.store, run.now, UINT64_MAX);
  run.node.Register(process);
  process.Do(SubmitJob{{1}, SmallJob()});
  process.executor->MakeSnapshot(AtOnce, AtOnce);
  process.Do(SubmitJob{{1}, SmallJob()});
  Result<Replayed> replayed = Replay(run.store);
  ASSERT_TRUE(replayed.has_value());
  EXPECT_EQ(EncodeState(replayed->state), EncodeState(process.controller->state()));
  EXPECT_LT(replayed->records, 4U);
}

TEST(Replay, RefusesADamagedLog) {
  FaultStore store([](std::function<void()> task) { task(); });
  store.Append({"rubbish"}, 0, nullptr);
  Result<Replayed> replayed = Replay(store);
  ASSERT_FALSE(replayed.has_value());
  EXPECT_NE(replayed.error().message.find("record 1"), std::string::npos);
}

}  // namespace
}  // namespace slipway::scheduler
