// SPDX-License-Identifier: Apache-2.0
// The planner (scheduler/plan) follows the state: after each event the one job or node that it is about is
// brought to where the state has it. New nodes change the numbering, so then all is made anew at the next
// pass, and planned starts are kept.
#include "scheduler/core/planning_policy.h"

#include <algorithm>
#include <utility>

namespace slipway::scheduler {
namespace {

constexpr plan::Instant kNoLimit =
    365 * 24 * 3600 * kSecond;                    // jobs without a time limit are planned with this
constexpr plan::Instant kOverrun = 30 * kSecond;  // a job that should have ended is expected to by then
constexpr std::int64_t kAwaitS = 60;              // after a restart nodes are given so long to come back
constexpr std::size_t kShortQueue = 1000;         // a queue that is always planned anew as a whole
constexpr plan::Instant kReplan =
    10 * kSecond;  // a longer one is so often; in between only what changed is looked at
constexpr std::uint32_t kPrefetchJobsMax = 8;  // planned jobs whose images are fetched ahead

}  // namespace

plan::Planner PlanningPolicy::MakePlanner() const {
  plan::Planner planner(order_);
  planner.SetGrace(grace());
  planner.SetHorizon(site_->plan.horizon_s * kSecond);
  planner.cluster().SetLicences(LicencesOf(*site_));
  return planner;
}

plan::Instant PlanningPolicy::LengthOf(const Job& job) {
  return job.time_limit_s > 0 ? job.time_limit_s * kSecond : kNoLimit;
}

// Brings the job or node that an event is about to where the state has it.
struct PlanningPolicy::Follow {
  PlanningPolicy& policy;
  const State& state;
  void operator()(const EpochBegan&) const { policy.SyncAllNodes(state); }
  void operator()(const JobSubmitted& e) const { policy.SyncSubmitted(state, e.job); }
  void operator()(const JobStarted& e) const { policy.SyncWithDependents(state, e.job); }
  void operator()(const JobEnded& e) const { policy.SyncWithDependents(state, e.job); }
  void operator()(const JobUpdated& e) const { policy.SyncJob(state, e.job); }
  void operator()(const JobRequeued& e) const { policy.SyncJob(state, e.job); }
  void operator()(const NodeReleased& e) const {
    policy.planner_.Release(e.job.value, policy.numbers_.at(e.node));
  }
  void operator()(const ImageStaged& e) const { Holds(e.node, e.digest, true); }
  void operator()(const ImageDropped& e) const { Holds(e.node, e.digest, false); }
  void Holds(const std::string& node, const std::string& digest, bool held) const {
    auto set = policy.image_sets_.find(digest);
    auto number = policy.numbers_.find(node);
    plan::Cluster& cluster = policy.planner_.cluster();
    if (set == policy.image_sets_.end() || number == policy.numbers_.end()) return;
    cluster.EachView(number->second,
                     [&](plan::NodeNumber view) { cluster.PutInSet(set->second, view, held); });
  }
  void operator()(const AccountSet&) const { policy.AccountsChanged(); }
  void operator()(const AccountRemoved&) const { policy.AccountsChanged(); }
  void operator()(const AssociationSet&) const { policy.AccountsChanged(); }
  void operator()(const AssociationRemoved&) const { policy.AccountsChanged(); }
  void operator()(const UsageClockSet&) const { policy.priorities_.AccountsChanged(); }
  void operator()(const ArrayTaskMade& e) const {
    policy.SyncJob(state, state.arrays.at(e.array).TaskId(e.task));
    policy.SyncMade(state, e.array);
  }
  void operator()(const ArrayCancelled& e) const {
    const Array& array = state.arrays.at(e.array);
    policy.SyncDependents(state, e.array);
    for (auto at = state.dependents.lower_bound(array.TaskId(array.made));
         at != state.dependents.end() && at->first < array.TaskId(array.tasks); ++at)
      policy.SyncDependents(state, at->first);
  }
  void operator()(const StartPlanned&) const {}
  void operator()(const ReservationSet&) const { policy.stale_ = policy.disturbed_ = true; }
  void operator()(const ReservationRemoved&) const { policy.stale_ = policy.disturbed_ = true; }
  void operator()(const JobPreempted&) const {}
  void operator()(const JobCancelRequested&) const {}
  void operator()(const JobCompleting&) const {}
  void operator()(const JobsForgotten&) const {}
  void operator()(const StepCreated&) const {}
  void operator()(const StepKillRequested&) const {}
  void operator()(const StepNodeStarted&) const {}
  void operator()(const StepNodeEnded&) const {}
  void operator()(const StepFactsNoted&) const {}
  template <class NodeEvent>
  void operator()(const NodeEvent& e) const {
    policy.SyncNode(state, e.node);
  }
};

void PlanningPolicy::Reset(const State& state) {
  (void)state;
  takes_over_ = true;
  stale_ = true;
  disturbed_ = true;
}

void PlanningPolicy::Await(const Node& node) {
  bool awaited = awaits_until_ && node.state == NodeState::kUnknown && !node.drained;
  plan::NodeNumber number = numbers_.at(node.name);
  // Given up: it is drained or down.
  if (planner_.cluster().Awaited(number) && !awaited && !node.usable()) disturbed_ = true;
  planner_.cluster().EachView(number, [&](plan::NodeNumber view) { planner_.SetAwaited(view, awaited); });
}

bool PlanningPolicy::PromisedOnSilentNodes() const {
  return std::ranges::any_of(planner_.Promises(), [&](const plan::Planner::Promise& promise) {
    return std::ranges::any_of(
        *promise.nodes, [&](const plan::NodeShare& share) { return !planner_.cluster().Usable(share.node); });
  });
}

void PlanningPolicy::AwaitNoMore() {
  awaits_until_.reset();
  for (plan::NodeNumber number = 0; number < names_.size(); ++number) planner_.SetAwaited(number, false);
  disturbed_ = true;
  stale_ = true;  // promises on nodes that are away are given up
}

void PlanningPolicy::Observe(const State& state, const Event& event) {
  if (!stale_) return std::visit(Follow{*this, state}, event.body);
  disturbed_ = true;  // what happens until all is made anew may be a node's loss or a reservation
}

void PlanningPolicy::SyncAllNodes(const State& state) {
  for (plan::NodeNumber number = 0; number < names_.size(); ++number)
    planner_.SetUsable(number, state.FindNode(names_[number])->usable());
  disturbed_ = true;
}

void PlanningPolicy::SyncNode(const State& state, const std::string& name) {
  const Node* node = state.FindNode(name);
  auto number = numbers_.find(name);
  if (node == nullptr || number == numbers_.end()) {
    stale_ = true;
    return;
  }
  bool usable = planner_.cluster().Usable(number->second);
  plan::Vec total = CapacityOf(node->facts, site_->TraitsOf(name), dims_);
  if ((usable && !node->usable()) || !total.Holds(planner_.cluster().Total(number->second)))
    disturbed_ = true;
  if (planner_.cluster().Total(number->second) != total) {
    if (!state.reservations.empty()) return void(stale_ = true);  // they take all of it
    planner_.SetTotal(number->second, total);
    requests_.clear();
  }
  Await(*node);
  planner_.cluster().EachView(number->second, [&](plan::NodeNumber view) {
    planner_.SetUsable(view, node->usable());
    for (const auto& [digest, set] : image_sets_)
      planner_.cluster().PutInSet(set, view, node->images.contains(digest));
  });
}

// A job, or all tasks of an array that has just been submitted.
void PlanningPolicy::SyncSubmitted(const State& state, JobId id) {
  auto array = state.arrays.find(id);
  array == state.arrays.end() ? SyncJob(state, id) : SyncMade(state, id);
}

// The tasks of an array that have become jobs in their turn.
void PlanningPolicy::SyncMade(const State& state, JobId id) {
  auto array = state.arrays.find(id);
  if (array == state.arrays.end()) return;
  std::uint32_t& known = made_[id];
  for (; known < array->second.made; ++known) {
    JobId task = array->second.TaskId(known);
    if (!planner_.Knows(task.value)) SyncJob(state, task);
  }
  if (array->second.unmade() == 0) made_.erase(id);
}

void PlanningPolicy::SyncDependents(const State& state, JobId on) {
  auto dependents = state.dependents.find(on);
  if (dependents == state.dependents.end()) return;
  for (JobId waiting : dependents->second) {
    if (!planner_.Knows(waiting.value)) SyncJob(state, waiting);  // else it keeps its place
  }
}

void PlanningPolicy::SyncWithDependents(const State& state, JobId id) {
  SyncJob(state, id);
  for (JobId on : {id, state.FindJob(id)->array}) SyncDependents(state, on);
  if (JobId array = state.FindJob(id)->array; made_.contains(array)) SyncMade(state, array);
}

void PlanningPolicy::SyncJob(const State& state, JobId id) {
  const Job* job = state.FindJob(id);
  if (job != nullptr && IsActive(job->state)) {
    if (planner_.IsRunning(id.value)) return;  // as we proposed
    planner_.Remove(id.value);
    plan::Placement nodes;
    for (const NodeAllocation& held : job->nodes) {
      if (!held.released) nodes.push_back({numbers_.at(held.node), held.tasks});
    }
    plan::PlanJob known = PlanJobOf(state, *job);
    if (known.request.tasks == 0) {
      for (plan::NodeShare& share : nodes) share.tasks = 0;
    }
    plan::Instant end = job->started.us + known.facts.length + grace();
    if (job->preempted_by) end = std::min(end, job->preempted_at.us + grace());
    planner_.AddRunning(known, nodes, std::max(end, planner_.cluster().now() + 1));
    return;
  }
  planner_.Remove(id.value);
  if (job != nullptr) priorities_.Forget(*job);
  preemptors_.erase(id);
  if (auto waits = begins_.find(id); waits != begins_.end()) {
    not_yet_.erase({waits->second, id});
    begins_.erase(waits);
  }
  if (job == nullptr || job->state != JobState::kPending || !MayBePlanned(state, *job)) return;
  if (job->begin.us > planner_.cluster().now()) {
    not_yet_.insert({job->begin, id});
    begins_[id] = job->begin;
  } else {
    Enqueue(state, *job);
  }
}

void PlanningPolicy::Enqueue(const State& state, const Job& job) {
  planner_.Add(PlanJobOf(state, job));
  if (CanPreempt(*job.spec)) preemptors_.insert(job.id);
}

void PlanningPolicy::BeginJobs(const State& state, Time now) {
  while (!not_yet_.empty() && not_yet_.begin()->first <= now) {
    JobId id = not_yet_.begin()->second;
    not_yet_.erase(not_yet_.begin());
    begins_.erase(id);
    Enqueue(state, *state.FindJob(id));
  }
}

PlannedRequest& PlanningPolicy::RequestFor(const Resources& resources) {
  auto [place, added] = requests_.try_emplace(resources);
  if (added) {
    place->second = PlanRequest(resources);
    if (place->second.tasks_each > 0 && resources.tasks > 0 &&
        !planner_.cluster().CouldRun(place->second.request, false)) {
      // No equal nodes for it; unequal ones may do.
      PlannedRequest uneven = PlanRequest(resources, true);
      if (uneven.request.pattern == 0 || uneven.request.tasks == 0) place->second = uneven;
    }
  }
  return place->second;
}

plan::PlanJob PlanningPolicy::PlanJobOf(const State& state, const Job& job) {
  const JobSpec& spec = *job.spec;
  plan::PlanJob planned;
  planned.request = RequestFor(spec.resources).request;
  std::int64_t tasks = spec.resources.tasks > 0 ? spec.resources.tasks : planned.request.nodes_min;
  planned.facts = {job.id.value, job.submitted.us, LengthOf(job), tasks * spec.resources.cores_per_task, 0};
  PriorityOrder::Place place = priorities_.PlaceOf(job, planner_);
  planned.facts.priority = place.priority;
  planned.lane = place.lane;
  planned.limits = limits_.Of(state, job, planner_);
  planned.prefer = ImageSet(state, spec.command.image.digest);
  return planned;
}

// Limits may have come, gone or changed: what runs has to be counted against them anew.
void PlanningPolicy::AccountsChanged() {
  priorities_.AccountsChanged();
  stale_ = true;
}

std::uint32_t PlanningPolicy::ImageSet(const State& state, const std::string& digest) {
  if (digest.empty()) return 0;
  auto [place, added] = image_sets_.try_emplace(digest, 0);
  if (added) {
    plan::NodeBits have(names_.size());
    for (plan::NodeNumber number = 0; number < names_.size(); ++number) {
      if (state.FindNode(names_[number])->images.contains(digest)) have.Set(number);
    }
    place->second = planner_.cluster().AddSet(std::move(have));
  }
  return place->second;
}

void PlanningPolicy::Rebuild(const State& state) {
  std::vector<std::pair<JobId, PlannedStart>> promises = PlannedStarts();
  if (std::exchange(takes_over_, false)) {
    awaits_until_ = state.now.PlusSeconds(kAwaitS);
    promises.clear();
    for (const PendingKey& key : state.pending) {
      const Job& job = *state.FindJob(key.job);
      if (job.planned) promises.emplace_back(job.id, *job.planned);
    }
    std::ranges::stable_sort(promises, {}, [](const auto& entry) { return entry.second.at; });
  }
  plan::Instant now = std::max(planner_.cluster().now(), state.now.us);
  planner_ = MakePlanner();
  planner_.Advance(now);
  numbers_.clear();
  names_.clear();
  view_of_.clear();
  requests_.clear();
  limits_.Clear();
  image_sets_.clear();
  wheres_.clear();
  preemptors_.clear();
  not_yet_.clear();
  begins_.clear();
  // The planner takes nodes in the order of their numbers.
  std::vector<const Node*> nodes;
  for (const auto& [name, node] : state.nodes) nodes.push_back(&node);
  std::ranges::stable_sort(nodes, {}, [&](const Node* node) { return site_->TraitsOf(node->name).weight; });
  for (const Node* node : nodes) AddNode(*node);
  AddReservations(state);
  priorities_.Reset(state, TotalsOf(state));
  made_.clear();
  for (JobId id : state.unmade) made_[id] = state.arrays.at(id).made;
  for (JobId id : state.live) SyncJob(state, id);
  for (const auto& [id, kept] : promises) {
    const Job* job = state.FindJob(id);
    plan::Placement nodes;
    for (const auto& [name, tasks] : kept.nodes) {
      auto number = job == nullptr ? std::nullopt : NumberFor(job->spec->resources, name);
      if (number) nodes.push_back({*number, tasks});
    }
    std::ranges::sort(nodes);
    if (nodes.size() == kept.nodes.size()) planner_.KeepPromise(id.value, kept.at.us, nodes);
  }
  stale_ = false;
}

void PlanningPolicy::AddNode(const Node& node) {
  plan::NodeNumber number =
      planner_.cluster().AddNode(CapacityOf(node.facts, site_->TraitsOf(node.name), dims_));
  planner_.SetUsable(number, node.usable());
  numbers_[node.name] = number;
  names_.push_back(node.name);
  view_of_.emplace_back();
  Await(node);
}

Plan PlanningPolicy::Decide(const State& state, Time now) {
  Plan plan;
  if (awaits_until_ && *awaits_until_ <= now) AwaitNoMore();
  if (stale_ || windows_change_ <= now) {
    planner_.Advance(now.us);
    Rebuild(state);
  }
  planner_.Advance(now.us);
  if (planner_.ExtendOverdue(kOverrun) > 0) disturbed_ = true;
  if (awaits_until_ && PromisedOnSilentNodes()) disturbed_ = true;  // they may come back too late
  if (!preemptors_.empty()) YieldPromises(state);
  if (std::exchange(disturbed_, false)) ++disturbances_;
  BeginJobs(state, now);
  priorities_.Update(state, planner_, now);
  limits_.Update(state, planner_, now);
  std::map<plan::NodeNumber, FreeNode> touched;
  bool whole = planner_.waiting() <= kShortQueue || now.us >= planned_whole_at_ + kReplan;
  if (whole) planned_whole_at_ = now.us;
  auto take = [&](const std::vector<plan::PlanStart>& starts) {
    for (const plan::PlanStart& start : starts) {
      const Job& job = *state.FindJob({start.job});
      preemptors_.erase(job.id);
      plan.starts.push_back({job.id, job.attempt + 1, AllotAll(state, job, start.nodes, touched)});
    }
  };
  take(whole ? planner_.Pass() : planner_.QuickPass());
  while (!preemptors_.empty() && Preempt(state, now, plan)) take(planner_.Pass());
  plan::Instant next = planner_.NextStart();
  if (!whole) next = std::min(next, planned_whole_at_ + kReplan);
  if (next < plan::kNever) plan.next = {next};
  for (const auto& [name, reservation] : state.reservations) {
    std::optional<Window> window = WindowAt(reservation, now);
    if (window) plan.next = std::min(plan.next, now < window->from ? window->from : window->to);
  }
  if (awaits_until_) plan.next = std::min(plan.next, *awaits_until_);
  if (!not_yet_.empty()) plan.next = std::min(plan.next, not_yet_.begin()->first);
  if (planner_.waiting() > 0) plan.next = std::min({plan.next, priorities_.next(), limits_.next()});
  Prefetch(state, plan);
  return plan;
}

std::vector<NodeAllocation> PlanningPolicy::AllotAll(const State& state, const Job& job,
                                                     const plan::Placement& nodes,
                                                     std::map<plan::NodeNumber, FreeNode>& touched) {
  const Resources& resources = job.spec->resources;
  std::uint32_t each = RequestFor(resources).tasks_each;
  std::vector<NodeAllocation> allocation;
  std::uint32_t rank = 0;
  for (const plan::NodeShare& share : nodes) {
    std::uint32_t tasks = each > 0 ? each : share.tasks;
    auto [free, first] = touched.try_emplace(MachineOf(share.node));
    if (first) {
      const Node& node = *state.FindNode(names_[share.node]);
      free->second = FreeOn(node, site_->TraitsOf(node.name));
    }
    allocation.push_back(AllotOn(free->second, resources, rank, tasks));
    rank += tasks;
  }
  return allocation;
}

void PlanningPolicy::Prefetch(const State& state, Plan& plan) const {
  std::uint32_t jobs = 0;
  for (const plan::Planner::Promise& promise : planner_.Promises()) {
    const std::string& digest = state.FindJob({promise.job})->spec->command.image.digest;
    if (digest.empty()) continue;
    if (++jobs > kPrefetchJobsMax) break;
    for (const plan::NodeShare& share : *promise.nodes) {
      const std::string& name = names_[share.node];
      if (!state.FindNode(name)->images.contains(digest)) plan.prefetch.push_back({name, digest});
    }
  }
}

PendingReason PlanningPolicy::ReasonOf(const State& state, JobId id) {
  const Job* job = state.FindJob(id);
  if (job == nullptr || job->state != JobState::kPending) return PendingReason::kNone;
  if (job->hold == Hold::kAdmin) return PendingReason::kHeldByAdmin;
  if (job->hold == Hold::kUser) return PendingReason::kHeldByUser;
  if (job->DependenciesState() == DependencyState::kNever) return PendingReason::kDependencyNever;
  if (job->DependenciesState() == DependencyState::kWaiting) return PendingReason::kDependency;
  if (Obstacle site = SiteObstacle(state, *job); site.reason != PendingReason::kNone) return site.reason;
  if (begins_.contains(id)) return PendingReason::kBeginTime;
  if (WaitsForWindow(state, *job)) return PendingReason::kReservation;
  if (stale_ || !planner_.Knows(id.value)) return PendingReason::kNone;
  switch (planner_.WhyWaits(id.value)) {
    case plan::Waits::kPlanned:
      return PendingReason::kResources;
    case plan::Waits::kOthers:
      return PendingReason::kPriority;
    case plan::Waits::kLimit:
      return PendingReason::kLimit;
    case plan::Waits::kNever:
      return PendingReason::kNodesUnavailable;
  }
  return PendingReason::kNone;
}

std::string PlanningPolicy::ReasonText(const State& state, JobId id) {
  PendingReason reason = ReasonOf(state, id);
  if (reason == PendingReason::kLimit) {
    const plan::Request& request = RequestFor(state.FindJob(id)->spec->resources).request;
    if (auto limit = planner_.BlockingLimit(id.value)) return limits_.Text(*limit, planner_, request);
  }
  if (reason != PendingReason::kNone) {
    if (Obstacle site = SiteObstacle(state, *state.FindJob(id)); site.reason == reason) return site.text;
  }
  return std::string(PendingReasonText(reason));
}

std::optional<PlannedStart> PlanningPolicy::PlannedStartOf(JobId job) const {
  auto promise = planner_.PromiseOf(job.value);
  if (!promise) return std::nullopt;
  return ToPlannedStart(*promise);
}

PlannedStart PlanningPolicy::ToPlannedStart(const plan::Planner::Promise& promise) const {
  PlannedStart planned{{promise.start}, {}};
  for (const plan::NodeShare& share : *promise.nodes)
    planned.nodes.push_back({names_[share.node], share.tasks});
  return planned;
}

std::vector<std::pair<JobId, PlannedStart>> PlanningPolicy::PlannedStarts() const {
  std::vector<std::pair<JobId, PlannedStart>> all;
  for (const plan::Planner::Promise& promise : planner_.Promises())
    all.emplace_back(JobId{promise.job}, ToPlannedStart(promise));
  return all;
}

Result<> PlanningPolicy::CheckFits(const State& state, const JobSpec& spec) {
  if (stale_) Rebuild(state);
  PlannedRequest& planned = RequestFor(spec.resources);
  if (planned.could_run < 0) planned.could_run = planner_.cluster().CouldRun(planned.request, false) ? 1 : 0;
  if (planned.could_run == 0) return WhyNever(state, *site_, spec.resources);
  return {};
}

std::optional<std::string> PlanningPolicy::FindWrong(const State& state) const {
  if (stale_) return std::nullopt;
  for (const auto& entry : state.nodes) {
    const auto& name = entry.first;  // clang 14 lets no lambda use a structured binding
    const auto& node = entry.second;
    std::optional<std::string> wrong;
    planner_.cluster().EachView(numbers_.at(name), [&](plan::NodeNumber view) {
      const plan::Vec& free = planner_.cluster().Free(view);
      bool exclusive = free[plan::kToken] <= 0;
      if (!exclusive && (free[plan::kCores] > node.cores_free.count() ||
                         free[plan::kMemory] > static_cast<std::int64_t>(node.memory_free_bytes)))
        wrong = Cat("the plan has ", free[plan::kCores], " cores free on ", name, ", the state ",
                    node.cores_free.count());
    });
    if (wrong) return wrong;
  }
  for (const PendingKey& key : state.pending) {
    JobId id = key.job;
    if (MayBePlanned(state, *state.FindJob(id)) && !planner_.Knows(id.value) && !begins_.contains(id))
      return Cat("job ", id.value, " waits but the plan does not know it");
  }
  return std::nullopt;
}

std::unique_ptr<Policy> MakePlanningPolicy(std::unique_ptr<plan::Policy> order,
                                           std::shared_ptr<const Site> site) {
  if (site == nullptr) site = std::make_shared<const Site>();
  if (order == nullptr) {
    bool counted = site->plan.policy == "easy" || site->plan.policy == "multifactor";
    order =
        plan::MakePolicy(counted ? Cat(site->plan.policy, ':', site->plan.reservations) : site->plan.policy);
  }
  CHECK(order != nullptr);  // CheckSite has looked
  return std::make_unique<PlanningPolicy>(std::move(order), std::move(site));
}

}  // namespace slipway::scheduler
