// SPDX-License-Identifier: Apache-2.0
#include "scheduler/sim/chaos.h"

#include <chrono>
#include <map>
#include <memory>
#include <set>

#include "scheduler/core/placement.h"
#include "scheduler/sim/checks.h"
#include "scheduler/sim/model_node.h"
#include "scheduler/sim/sim_controller.h"

namespace slipway::scheduler {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;

constexpr std::uint32_t kUid = 20001;
constexpr std::size_t kLinesKept = 50;

// Which faults this life has, and how often: a different mix for each seed finds more than all of them
// always.
struct Faults {
  std::uint32_t drop = 0, twice = 0;  // per mille of messages
  std::uint32_t delay_ms_max = 50, commit_ms_max = 20;
  // Mean time between; 0: never.
  std::uint32_t kill_s = 0, full_disk_s = 0, stream_s = 0, agent_s = 0, reboot_s = 0, partition_s = 0,
                clock_s = 0;

  explicit Faults(Rng& rng) {
    if (rng.Chance(600)) drop = rng.Between(1, 200);
    if (rng.Chance(600)) twice = rng.Between(1, 200);
    if (rng.Chance(600)) delay_ms_max = rng.Between(50, 8000);
    if (rng.Chance(500)) commit_ms_max = rng.Between(20, 3000);
    if (rng.Chance(700)) kill_s = rng.Between(5, 60);
    if (rng.Chance(300)) full_disk_s = rng.Between(20, 120);
    if (rng.Chance(500)) stream_s = rng.Between(5, 60);
    if (rng.Chance(500)) agent_s = rng.Between(10, 90);
    if (rng.Chance(600)) reboot_s = rng.Between(20, 120);
    if (rng.Chance(400)) partition_s = rng.Between(20, 90);
    if (rng.Chance(300)) clock_s = rng.Between(20, 90);
  }
};

class World final : public NodeSurroundings, public ControllerSurroundings {
 public:
  explicit World(const ChaosOptions& options) : options_(options), rng_(options.seed), faults_(rng_) {}

  ChaosResult Run();

  // NodeSurroundings
  std::uint64_t OpenStream(ModelNode& node) override;
  void ToController(ModelNode& node, std::uint64_t session, Input input) override;
  void OnStepStarts(ModelNode& node, const LaunchStep& launch) override;
  bool calm() const override { return calm_; }
  // ControllerSurroundings
  void ToNode(const Send& send) override;
  void ToClient(const Reply& reply) override;
  void OnCommitted(const Event& event) override;
  void OnControllerDead(const std::string& why) override;

 private:
  void Trace(const std::string& line);
  void Broken(const std::string& promise);
  void CheckState();
  void CheckReplay();
  void CheckPromises();
  void CheckDrained();

  void StartController();
  void Feed(const Input& input);
  void BreakStream(ModelNode& node);
  void SetUp();
  void Every(std::uint32_t mean_s, std::function<void()> fault);
  void ScheduleFaults();
  void ScheduleClients();
  void Submit();
  void Meddle();
  void DeclareDownForGood(ModelNode& node);
  void BecomeCalm();
  void ReleaseAndGiveUp();
  void CommitSome();
  void Deliver(Loop::Task task);
  ModelNode& AnyNode() { return *nodes_[rng_.Below(nodes_.size())]; }
  JobSpec RandomJob();
  bool Drained() const;

  const ChaosOptions& options_;
  Rng rng_;
  Faults faults_;
  SimLoop loop_;
  FaultStore store_{[this](std::function<void()> task) { loop_.Post(std::move(task)); }};
  std::vector<std::unique_ptr<ModelNode>> nodes_;
  std::unique_ptr<SimController> controller_;
  std::vector<std::unique_ptr<SimController>> graveyard_;
  bool calm_ = false, commit_waits_ = false;

  struct Stream {
    std::string node;
    bool open = true;
  };
  std::map<std::uint64_t, Stream> streams_;  // of the present controller
  std::uint64_t last_stream_ = 0;
  std::set<std::string> deaf_, mute_;  // one-way partitions: hears nothing, says nothing

  struct Promised {
    Time at;
    std::uint64_t disturbances = 0;  // at that time
  };
  MonotonicTime clock_settles_{};
  std::map<JobId, Promised> promised_;  // by the present controller
  std::set<JobId> accepted_;
  std::map<JobId, Outcome> ended_;
  std::set<std::pair<StepId, std::string>> started_;
  ChaosResult result_;
};

void World::Trace(const std::string& line) {
  std::string stamped =
      Cat(std::chrono::duration_cast<milliseconds>(loop_.Now().time_since_epoch()).count(), " ms  ", line);
  if (options_.trace) options_.trace(stamped);
  result_.last.push_back(std::move(stamped));
  if (result_.last.size() > kLinesKept) result_.last.pop_front();
}

void World::Broken(const std::string& promise) {
  if (result_.failure) return;
  result_.failure = promise;
  Trace(Cat("BROKEN: ", promise));
}

// ---- The controller's process

void World::StartController() {
  Result<Replayed> replayed = Replay(store_);
  if (!replayed) return Broken(Cat("replay: ", replayed.error().message));
  for (JobId job : accepted_) {
    if (replayed->state.FindJob(job) == nullptr)
      return Broken(Cat("job ", job.value, " was accepted and is lost"));
  }
  for (const auto& [job, outcome] : ended_) {
    if (replayed->state.FindJob(job)->outcome != outcome)
      return Broken(Cat("job ", job.value, " had ended otherwise"));
  }
  Epoch epoch = *store_.BeginEpoch(*store_.CurrentEpoch());
  Trace(Cat("controller starts, epoch ", epoch, ", ", replayed->records, " records"));
  promised_.clear();
  controller_ = std::make_unique<SimController>(store_, loop_, *this, std::move(*replayed), epoch);
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
  if (const auto* change = std::get_if<ChangeJob>(&input)) promised_.erase(change->job);  // it asked for it
  ++result_.inputs;
  controller_->Do(input);
  CheckState();
  CheckPromises();
  if (rng_.Chance(20)) CheckReplay();
  if (controller_ && rng_.Chance(5)) controller_->executor().SaveSnapshot(controller_->controller().state());
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
  } else {
    for (std::uint32_t i = 0; i < job->tasks; ++i) accepted_.insert({array->second.first_task.value + i});
  }
}

// ---- The network

void World::Deliver(Loop::Task task) {
  if (!calm_ && rng_.Chance(faults_.drop)) return;
  int copies = !calm_ && rng_.Chance(faults_.twice) ? 2 : 1;
  for (int i = 0; i < copies; ++i) {
    loop_.After(milliseconds(rng_.Below(calm_ ? 20 : faults_.delay_ms_max)), task);
  }
}

std::uint64_t World::OpenStream(ModelNode& node) {
  if (!controller_) return 0;
  BreakStream(node);
  streams_[++last_stream_] = {node.name()};
  return last_stream_;
}

// The controller notices after a while.
void World::BreakStream(ModelNode& node) {
  auto stream = streams_.find(node.session());
  if (stream == streams_.end() || !stream->second.open) return;
  stream->second.open = false;
  loop_.After(milliseconds(rng_.Below(10'000)), [this, id = stream->first, name = node.name()] {
    if (streams_.count(id) > 0) Feed(LoseNode{name, id});
  });
}

void World::ToController(ModelNode& node, std::uint64_t session, Input input) {
  if (mute_.count(node.name()) > 0) return;
  Deliver([this, session, input = std::move(input)] {
    if (streams_.count(session) > 0) Feed(input);  // even one that broke since: it was on the way
  });
}

void World::ToNode(const Send& send) {
  auto stream = streams_.find(send.session);
  if (stream == streams_.end() || !stream->second.open || deaf_.count(send.node) > 0) return;
  Trace(Cat("to ", send.node, ": ", Describe(send.message)));
  for (auto& node : nodes_) {
    if (node->name() != send.node) continue;
    Deliver(
        [n = node.get(), session = send.session, message = send.message] { n->OnMessage(session, message); });
  }
}

// ---- What must hold

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
      if (other.get() == &node && id.job != launch.step.job &&
          step.cores.Intersects(launch.allocation.cores)) {
        Broken(Cat("two jobs run on the same core of ", node.name(), ": ", ToString(id), " and ",
                   ToString(launch.step)));
      }
    }
  }
}

void World::CheckState() {
  if (!controller_) return;
  if (std::optional<std::string> wrong = FindWrong(controller_->controller().state())) Broken(*wrong);
}

// A start that was promised is kept, and moves only to an earlier time, unless nodes fail or a job overruns
// its limit (or the controller forgets it by dying).
void World::CheckPromises() {
  if (!controller_ || loop_.Now() < clock_settles_) return;
  const Controller& controller = controller_->controller();
  const Policy& policy = controller.policy();
  if (std::optional<std::string> wrong = policy.FindWrong(controller.state())) return Broken(*wrong);
  for (auto known = promised_.begin(); known != promised_.end();) {
    const Job* job = controller.state().FindJob(known->first);
    bool gone = job == nullptr || job->state != JobState::kPending || job->hold != Hold::kNone;
    bool missed = gone && job != nullptr && IsActive(job->state) && job->started > known->second.at;
    if (missed && known->second.disturbances == policy.disturbances())
      return Broken(Cat("job ", known->first.value, " was promised a start ",
                        (job->started.us - known->second.at.us) / 1000, " ms before it started"));
    known = gone ? promised_.erase(known) : std::next(known);
  }
  for (const PendingKey& key : controller.state().pending) {
    // A limit that others reach meanwhile (here: of its array) takes a promise back.
    const Job& waits = *controller.state().FindJob(key.job);
    if (waits.spec->array && waits.spec->array->max_running > 0) continue;
    std::optional<PlannedStart> planned = policy.PlannedStartOf(key.job);
    if (!planned || planned->at > controller.state().now.PlusSeconds(30 * 24 * 3600)) continue;
    Promised now{planned->at, policy.disturbances()};
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
  if (!Drained()) return Broken("the faults have stopped, but jobs, steps or reports are left");
  CheckReplay();
  const State& state = controller_->controller().state();
  for (JobId job : accepted_) {
    const Job* found = state.FindJob(job);
    if (found == nullptr || !IsTerminal(found->state))
      return Broken(Cat("job ", job.value, " was accepted and has no end"));
  }
  result_.jobs = accepted_.size();
}

// ---- Clients and faults

JobSpec World::RandomJob() {
  JobSpec spec;
  spec.name = "chaos";
  spec.user = {kUid, kUid, {kUid}, "alice", "/home/alice", "/bin/sh"};
  spec.resources.tasks = rng_.Between(1, 4);
  if (rng_.Chance(400)) spec.resources.nodes_min = rng_.Between(1, spec.resources.tasks);
  if (rng_.Chance(300)) spec.resources.memory_bytes_per_node = rng_.Between(1, 700);
  spec.resources.exclusive = rng_.Chance(100);
  spec.interactive = rng_.Chance(400);
  spec.requeue = rng_.Chance(500);
  spec.priority = static_cast<std::int32_t>(rng_.Below(3));
  spec.command.argv = {"work"};
  spec.command.kill_on_bad_exit = rng_.Chance(800);
  if (rng_.Chance(300)) spec.command.image.digest = "sha256:aa";
  if (rng_.Chance(700)) spec.time_limit_s = rng_.Between(1, 90);
  if (rng_.Chance(100) && controller_)
    spec.begin = controller_->controller().state().now.PlusSeconds(static_cast<std::int64_t>(rng_.Below(60)));
  spec.hold = rng_.Chance(80);
  if (controller_ && rng_.Chance(200)) {
    const State& state = controller_->controller().state();
    std::uint64_t recent = std::min<std::uint64_t>(state.next_job.value - 1, 8);
    for (std::uint32_t i = 0; recent > 0 && i < rng_.Between(1, 2); ++i) {
      auto kind = static_cast<DependencyKind>(rng_.Between(1, 4));
      spec.dependencies.push_back(
          {kind, {state.next_job.value - 1 - rng_.Below(recent)}, rng_.Between(0, 5)});
    }
    if (rng_.Chance(200)) spec.dependencies.push_back({DependencyKind::kSingleton, {}, 0});
    spec.any_dependency = rng_.Chance(300);
  }
  if (!spec.interactive && rng_.Chance(150)) {
    spec.array.emplace();
    for (std::uint32_t i = 0; i < 4; ++i) spec.array->indices.push_back(i);
    spec.array->max_running = rng_.Between(0, 2);
  }
  return spec;
}

void World::Meddle() {
  if (!controller_) return;
  const State& state = controller_->controller().state();
  if (state.live.empty()) return;
  auto chosen = state.live.begin();
  std::advance(chosen, static_cast<std::ptrdiff_t>(rng_.Below(state.live.size())));
  JobId job = *chosen;
  switch (rng_.Below(9)) {
    case 0:
      return Feed(CancelJob{{1}, job, {kUid, false}});
    case 1:
      return Feed(
          CancelStep{{1}, {job, 0, state.FindJob(job)->spec->interactive ? 0 : kBatchStep}, {kUid, false}});
    case 2:
      return Feed(ChangeNode{{1}, AnyNode().name(), NodeChange::kDrain, "chaos"});
    case 3:
      return Feed(ChangeNode{{1}, AnyNode().name(), NodeChange::kResume, ""});
    case 4:
      return Feed(ChangeJob{{1}, job, {kUid, false}, {.hold = rng_.Chance(200) ? Hold::kUser : Hold::kNone}});
    case 5:
      return Feed(ChangeJob{{1}, job, {kUid, true}, {.nice = static_cast<std::int32_t>(rng_.Below(4))}});
    case 6:
      return Feed(ChangeJob{{1}, job, {kUid, false}, {.requeue = true}});
    default: {
      CreateStep step{{1}, job, {kUid, false}, {}, {}, 0};
      step.command.argv = {"step"};
      step.resources.tasks = rng_.Between(0, 3);
      return Feed(step);
    }
  }
}

void World::Every(std::uint32_t mean_s, std::function<void()> fault) {
  if (mean_s == 0) return;
  loop_.After(milliseconds(rng_.Below(2000 * std::uint64_t{mean_s})),
              [this, mean_s, fault = std::move(fault)] {
                if (calm_) return;
                fault();
                Every(mean_s, fault);
              });
}

// An administrator cuts the power, and says so: only then may what ran there be given up.
void World::DeclareDownForGood(ModelNode& node) {
  Trace(Cat(node.name(), " loses power"));
  ++result_.reboots;
  BreakStream(node);
  node.PowerOff();
  if (rng_.Chance(300)) {
    loop_.After(milliseconds(rng_.Below(5000)), [this, n = &node] {
      if (!n->powered()) Feed(ChangeNode{{1}, n->name(), NodeChange::kDown, "power is off"});
    });
  }
  loop_.After(milliseconds(rng_.Below(40'000)), [n = &node] { n->PowerOn(); });
}

void World::ScheduleFaults() {
  Every(faults_.kill_s, [this] {
    if (controller_) controller_->KillBeforeEffect(rng_.Below(12));
  });
  Every(faults_.stream_s, [this] {
    ModelNode& node = AnyNode();
    BreakStream(node);
    node.OnStreamBroken(node.session());
  });
  Every(faults_.agent_s, [this] {
    ModelNode& node = AnyNode();
    Trace(Cat("agent of ", node.name(), " is killed"));
    BreakStream(node);
    node.KillAgent();
    loop_.After(milliseconds(rng_.Below(20'000)), [n = &node] {
      if (n->powered()) n->StartAgent();
    });
  });
  Every(faults_.reboot_s, [this] { DeclareDownForGood(AnyNode()); });
  Every(faults_.partition_s, [this] {
    std::set<std::string>& side = rng_.Chance(500) ? deaf_ : mute_;
    std::string name = AnyNode().name();
    side.insert(name);
    loop_.After(milliseconds(rng_.Below(30'000)), [&side, name] { side.erase(name); });
  });
  Every(faults_.clock_s, [this] {
    loop_.StepWallClock(milliseconds(rng_.Below(120'000)) - minutes(1));
    promised_.clear();  // were made by another clock; timers that run may come late by this one
    clock_settles_ = loop_.Now() + minutes(3);
    Trace("the clock is set");
  });
}

void World::ScheduleClients() {
  Every(4, [this] { Feed(SubmitJob{{1}, RandomJob()}); });
  Every(6, [this] { Meddle(); });
}

void World::BecomeCalm() {
  Trace("the faults stop");
  calm_ = true;
  deaf_.clear();
  mute_.clear();
  if (controller_) controller_->KillBeforeEffect(UINT64_MAX);
  store_.FailOperation(UINT64_MAX);
  for (auto& node : nodes_) {
    if (node->powered()) {
      node->StartAgent();
    } else {
      node->PowerOn();
    }
  }
}

// Held jobs go on; those that wait for what will never be are cancelled, as a user would.
void World::ReleaseAndGiveUp() {
  if (!controller_) return;
  const std::set<JobId> live = controller_->controller().state().live;
  for (JobId id : live) {
    const Job* job = controller_ ? controller_->controller().state().FindJob(id) : nullptr;
    if (job == nullptr || job->state != JobState::kPending) continue;
    if (job->hold != Hold::kNone) Feed(ChangeJob{{0}, id, {kUid, true}, {.hold = Hold::kNone}});
    if (job->DependenciesState() == DependencyState::kNever) Feed(CancelJob{{0}, id, {kUid, true}});
  }
}

ChaosResult World::Run() {
  std::uint32_t count = rng_.Between(1, 4);
  for (std::uint32_t i = 1; i <= count; ++i) {
    NodeFacts facts{.cores = rng_.Between(2, 6), .memory_bytes = 1000};
    nodes_.push_back(std::make_unique<ModelNode>(Cat('n', i), facts, loop_, rng_, *this));
  }
  store_.CommitAtOnce(false);
  StartController();
  if (store_.waiting() > 0) CommitSome();
  ScheduleFaults();
  ScheduleClients();
  MonotonicTime end_of_faults{minutes(options_.minutes)};
  while (!result_.failure && loop_.Step(end_of_faults)) {
  }
  BecomeCalm();
  MonotonicTime end = end_of_faults + minutes(30);
  MonotonicTime look = end_of_faults;
  for (; !result_.failure && look < end; look += minutes(1)) {
    while (!result_.failure && loop_.Step(look)) {
    }
    for (auto& node : nodes_) Feed(ChangeNode{{0}, node->name(), NodeChange::kResume, ""});
    if (Drained()) break;
    ReleaseAndGiveUp();
  }
  if (!result_.failure) CheckDrained();
  return std::move(result_);
}

}  // namespace

ChaosResult RunChaos(const ChaosOptions& options) { return World(options).Run(); }

}  // namespace slipway::scheduler
