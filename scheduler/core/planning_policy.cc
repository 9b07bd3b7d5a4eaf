// SPDX-License-Identifier: Apache-2.0
// The planner (scheduler/plan) follows the state: after each event the one job or node that it is about is
// brought to where the state has it. New nodes change the numbering, so then all is made anew at the next
// pass, and planned starts are kept.
#include "scheduler/core/planning_policy.h"

#include <algorithm>
#include <utility>

#include "scheduler/core/network_order.h"

namespace slipway::scheduler {
namespace {

constexpr plan::Instant kNoLimit =
    365 * 24 * 3600 * kSecond;                    // jobs without a time limit are planned with this
constexpr plan::Instant kOverrun = 30 * kSecond;  // a job that should have ended is expected to by then
constexpr std::int64_t kAwaitS = 60;              // after a restart nodes are given so long to come back
constexpr std::uint32_t kPrefetchJobsMax = 8;     // planned jobs whose images are fetched ahead

// The time limit of a job that was started with less than it asked for; else 0.
std::uint32_t LimitGiven(const Job& job, const plan::PlanStart& start) {
  if (job.spec->time_min_s == 0) return 0;
  plan::Instant given = start.length / kSecond;
  return job.time_limit_s == 0 || given < job.time_limit_s ? static_cast<std::uint32_t>(given) : 0;
}

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

plan::Instant PlanningPolicy::EndOf(const Job& job) const {
  plan::Instant now = planner_.cluster().now();
  plan::Instant end = job.started.us + LengthOf(job) + job.suspended_us + grace();
  if (job.suspended()) end += job.lent_to ? now - job.suspended_at.us : kNoLimit;  // nobody knows how long
  if (job.preempted_by) {
    plan::Instant from = std::max(job.preempted_at, job.kill_at).us;
    end = std::min(end, from + grace());
  }
  return std::max(end, now + 1);
}

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

PlannedRequest PlanningPolicy::MakeRequest(const Resources& resources) {
  PlannedRequest request = PlanRequest(resources);
  if (request.tasks_each > 0 && resources.tasks > 0 && !planner_.cluster().CouldRun(request.request, false)) {
    // No equal nodes for it; unequal ones may do.
    PlannedRequest uneven = PlanRequest(resources, true);
    bool listed = !resources.choice->nodes.empty();  // a pattern that takes tasks
    if (uneven.request.pattern == 0 || uneven.request.tasks == 0 || listed) request = uneven;
  }
  return request;
}

PlannedRequest& PlanningPolicy::RequestFor(const Resources& resources) {
  auto [place, added] = requests_.try_emplace(resources);
  if (added) place->second = MakeRequest(resources);
  return place->second;
}

plan::PlanJob PlanningPolicy::PlanJobOf(const State& state, const Job& job) {
  const JobSpec& spec = *job.spec;
  plan::PlanJob planned;
  planned.request = RequestFor(job).request;
  std::int64_t tasks = spec.resources.tasks > 0 ? spec.resources.tasks : planned.request.nodes_min;
  planned.facts = {job.id.value, job.submitted.us, LengthOf(job), tasks * spec.resources.cores_per_task, 0};
  PriorityOrder::Place place = priorities_.PlaceOf(job, planner_);
  planned.facts.priority = place.priority;
  planned.lane = place.lane;
  planned.limits = limits_.Of(state, job, planner_);
  if (spec.time_min_s > 0) planned.least = std::min(spec.time_min_s * kSecond, planned.facts.length);
  planned.prefer = ImageSet(state, spec.command.image.digest);
  return planned;
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
  Promises promises = PlannedStarts();
  // A lender that still stands still, because others have its cores or its node is silent, ends later than
  // the plan had it; what was promised behind it cannot be kept.
  for (JobId id : state.lenders) {
    if (planner_.IsRunning(id.value) && planner_.EndOf(id.value) < EndOf(*state.FindJob(id)))
      disturbed_ = true;
  }
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
  switch_waits_.clear();
  preemptors_.clear();
  not_yet_.clear();
  begins_.clear();
  // The planner takes nodes in the order of their numbers.
  std::vector<const Node*> nodes;
  for (const auto& [name, node] : state.nodes) nodes.push_back(&node);
  NetworkOrder network(site_->network);
  std::ranges::stable_sort(nodes, {}, [&](const Node* node) {
    return std::pair(site_->TraitsOf(node->name).weight, network.PositionOf(node->name));
  });
  for (const Node* node : nodes) AddNode(*node);
  planner_.cluster().SetTopology(network.TopologyOf(names_));
  views_.clear();
  for (const auto& [name, reservation] : state.reservations) AddViews(state, reservation);
  ReserveAll(state);
  changed_reservations_.clear();
  removed_views_ = 0;
  priorities_.Reset(state, TotalsOf(state));
  made_.clear();
  for (JobId id : state.unmade) made_[id] = state.arrays.at(id).made;
  for (JobId id : state.live) SyncJob(state, id);
  KeepPromises(state, promises);
  stale_ = false;
}

void PlanningPolicy::KeepPromises(const State& state, const Promises& promises) {
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
  planner_.SettleGangs();
}

void PlanningPolicy::Refresh(const State& state) {
  if (stale_) {
    Rebuild(state);
  } else if (reservations_stale_) {
    RemakeReservations(state);
  }
  reservations_stale_ = false;
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
  if (windows_change_ <= now) reservations_stale_ = true;
  planner_.Advance(now.us);
  Refresh(state);
  if (planner_.ExtendOverdue(kOverrun) > 0) disturbed_ = true;
  if (awaits_until_ && PromisedOnSilentNodes()) disturbed_ = true;  // they may come back too late
  if (!preemptors_.empty()) YieldPromises(state);
  const plan::Instant whole_due = planned_whole_at_ + site_->plan.whole_queue_every_s * kSecond;
  BeginJobs(state, now);
  GiveSwitchesUp(state, now);
  priorities_.Update(state, planner_, now);
  limits_.Update(state, planner_, now);
  Touched touched;
  bool whole = planner_.waiting() <= site_->plan.whole_queue_jobs || now.us >= whole_due;
  if (disturbed_) ++disturbances_;
  if (whole) {
    planned_whole_at_ = now.us;
    disturbed_ = false;  // until then what was promised is not looked at
  }
  auto take = [&](const std::vector<plan::PlanStart>& starts) {
    for (const plan::PlanStart& start : starts) {
      const Job& job = *state.FindJob({start.job});
      preemptors_.erase(job.id);
      plan.starts.push_back({job.id, job.attempt + 1, AllotAll(state, job, start.nodes, touched),
                             PartitionOf(job, start.nodes), LimitGiven(job, start)});
    }
  };
  take(whole ? planner_.Pass() : planner_.QuickPass());
  while (!preemptors_.empty()) {
    auto starts = Preempt(state, now, plan, touched);
    if (!starts) break;
    take(*starts);
    take(planner_.Pass());
  }
  plan::Instant next = planner_.NextStart();
  if (!whole) next = std::min(next, whole_due);
  if (next < plan::kNever) plan.next = {next};
  for (const auto& [name, reservation] : state.reservations) {
    std::optional<Window> window = WindowAt(reservation, now);
    if (window) plan.next = std::min(plan.next, now < window->from ? window->from : window->to);
  }
  if (awaits_until_) plan.next = std::min(plan.next, *awaits_until_);
  if (!switch_waits_.empty()) plan.next = std::min(plan.next, switch_waits_.begin()->first);
  if (!not_yet_.empty()) plan.next = std::min(plan.next, not_yet_.begin()->first);
  if (planner_.waiting() > 0) plan.next = std::min({plan.next, priorities_.next(), limits_.next()});
  Prefetch(state, plan);
  return plan;
}

FreeNode& PlanningPolicy::FreeAt(const State& state, plan::NodeNumber number, Touched& touched) const {
  auto [free, first] = touched.try_emplace(number);
  if (first) {
    const Node& node = *state.FindNode(names_[number]);
    free->second = FreeOn(node, site_->TraitsOf(node.name));
    if (localities_ != nullptr) {
      if (auto known = localities_->find(node.name); known != localities_->end())
        free->second.locality = &known->second;
    }
  }
  return free->second;
}

std::vector<NodeAllocation> PlanningPolicy::AllotAll(const State& state, const Job& job,
                                                     const plan::Placement& nodes, Touched& touched) {
  const Resources& resources = job.spec->resources;
  std::uint32_t each = RequestFor(job).tasks_each;
  std::vector<NodeAllocation> allocation;
  std::uint32_t rank = 0;
  for (const plan::NodeShare& share : nodes) {
    std::uint32_t tasks = each > 0 ? each : share.tasks;
    allocation.push_back(AllotOn(FreeAt(state, MachineOf(share.node), touched), resources, rank, tasks));
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

std::unique_ptr<Policy> MakePlanningPolicy(std::unique_ptr<plan::Policy> order,
                                           std::shared_ptr<const Site> site,
                                           std::shared_ptr<const Localities> localities) {
  if (site == nullptr) site = std::make_shared<const Site>();
  if (order == nullptr) {
    bool counted = site->plan.policy == "easy" || site->plan.policy == "multifactor";
    order =
        plan::MakePolicy(counted ? Cat(site->plan.policy, ':', site->plan.reservations) : site->plan.policy);
  }
  CHECK(order != nullptr);  // CheckSite has looked
  return std::make_unique<PlanningPolicy>(std::move(order), std::move(site), std::move(localities));
}

}  // namespace slipway::scheduler
