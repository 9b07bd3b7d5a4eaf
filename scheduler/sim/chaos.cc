// SPDX-License-Identifier: Apache-2.0
#include "scheduler/sim/chaos.h"

#include <chrono>

#include "scheduler/sim/chaos_world.h"

namespace slipway::scheduler {

using std::chrono::milliseconds;
using std::chrono::minutes;

namespace {

constexpr std::size_t kLinesKept = 50;
constexpr std::uint64_t kQuickStream = 0x71756963;

void SetQuick(std::uint64_t seed, PlanRules& plan) {
  Rng rng(seed ^ ~kQuickStream);
  plan.whole_queue_jobs = rng.Between(0, 3);
  plan.whole_queue_every_s = rng.Between(1, 30);
}

}  // namespace

// A third of the lives, by a stream of its own: the others stay what they were.
World::World(const ChaosOptions& options)
    : options_(options),
      rng_(options.seed),
      faults_(rng_),
      quick_(options.quick || Rng(options.seed ^ kQuickStream).Chance(333)) {}

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
  Every(faults_.agent_s, [this] {
    ModelNode& node = AnyNode();
    Feed(ReportCondition{node.name(), node.session(), rng_.Chance(500) ? "disk: full" : "", rng_.Chance(50)});
  });
  Every(faults_.reboot_s, [this] { DeclareDownForGood(AnyNode()); });
  Every(faults_.partition_s, [this] {
    std::set<std::string>& side = rng_.Chance(500) ? deaf_ : mute_;
    std::string name = AnyNode().name();
    side.insert(name);
    loop_.After(milliseconds(rng_.Below(rng_.Chance(300) ? 120'000 : 30'000)),
                [&side, name] { side.erase(name); });
  });
  Every(faults_.clock_s, [this] {
    loop_.StepWallClock(milliseconds(rng_.Below(120'000)) - minutes(1));
    promised_.clear();  // were made by another clock; timers that run may come late by this one
    clock_settles_ = loop_.Now() + minutes(3);
    Trace("the clock is set");
  });
}

void World::ScheduleClients() {
  Every(4, [this] { SubmitRandom(); });
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
  // Limits that were set below what waiting jobs ask for are taken away.
  const std::map<std::string, Account> accounts = controller_->controller().state().accounts;
  for (const auto& [name, account] : accounts) {
    if (account.limits == Limits{}) continue;
    Account without = account;
    without.limits = {};
    Feed(ChangeAccount{{0}, {0, true}, AccountSet{without}});
    if (!controller_) return;
  }
  for (const char* name : {"r", "m"}) {
    Feed(ChangeReservation{{0}, {0, true}, ReservationRemoved{name}});
    if (!controller_) return;
  }
  const std::set<JobId> live = controller_->controller().state().live;
  for (JobId id : live) {
    const Job* job = controller_ ? controller_->controller().state().FindJob(id) : nullptr;
    if (job != nullptr && job->suspended() && !job->lent_to) Feed(SuspendJob{{0}, id, {0, true}, false});
    if (job == nullptr || job->state != JobState::kPending) continue;
    if (job->hold != Hold::kNone) Feed(ChangeJob{{0}, id, {0, true}, {.hold = Hold::kNone}});
    const std::string& reservation = job->spec->resources.reservation;
    bool gone = !reservation.empty() && !controller_->controller().state().reservations.contains(reservation);
    if (gone || job->DependenciesState() == DependencyState::kNever) Feed(CancelJob{{0}, id, {0, true}});
  }
}

ChaosResult World::Run() {
  std::uint32_t count = rng_.Between(1, 4);
  for (std::uint32_t i = 1; i <= count; ++i) {
    NodeFacts facts{.cores = rng_.Between(2, 6), .memory_bytes = 1000};
    nodes_.push_back(std::make_unique<ModelNode>(Cat('n', i), facts, loop_, rng_, *this));
  }
  std::vector<std::string> names;
  for (const auto& node : nodes_) names.push_back(node->name());
  do {
    Site site = RandomSite(rng_, names);
    if (quick_) SetQuick(options_.seed, site.plan);
    site_ = std::make_shared<const Site>(std::move(site));
  } while (!CheckSite(*site_));
  store_.CommitAtOnce(false);
  StartController();
  if (store_.waiting() > 0) CommitSome();
  CheckPresence();
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

ChaosResult RunChaos(const ChaosOptions& options) { return World(options).Run(); }

}  // namespace slipway::scheduler
