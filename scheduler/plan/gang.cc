// SPDX-License-Identifier: Apache-2.0
// Jobs that start together. Each fits easily by itself; all of them at one instant have to be tried: one
// after the other on the books, each taking what the next may not have. Which of them chooses first can
// matter, so the one that found no room goes to the front and all is tried again, as often as there are jobs.
// The earliest instant is looked for among those at which something changes, from the one on at which each
// would fit by itself.
#include <algorithm>
#include <utility>

#include "base/result/result.h"
#include "scheduler/plan/planner.h"

namespace slipway::plan {

const Planner::Gang* Planner::GangOf(JobNumber job) const {
  if (gang_first_.empty()) return nullptr;
  auto first = gang_first_.find(job);
  return first == gang_first_.end() ? nullptr : &gangs_.at(first->second);
}

std::vector<Planner::Part> Planner::PartsOf(const Gang& gang) const {
  std::vector<Part> parts;
  for (JobNumber id : gang) {
    const Job& job = jobs_.at(id);
    const NodeBits* prefer = job.entry.prefer == 0 ? nullptr : &cluster_.SetOf(job.entry.prefer);
    parts.push_back({queue_.shape(job.shape).request, job.length, prefer});
  }
  return parts;
}

namespace {

void Put(Cluster& cluster, const Request& request, const Placement& nodes, Instant from, Instant to,
         bool take) {
  for (const NodeShare& share : nodes) {
    Vec what = TakenOn(request, share);
    cluster.EachView(share.node, [&](NodeNumber view) {
      take ? cluster.Take(view, what, from, to, Use::kRunning)
           : cluster.Give(view, what, from, to, Use::kRunning);
    });
  }
  take ? cluster.TakeLicences(request.licences, from, to, Use::kRunning)
       : cluster.GiveLicences(request.licences, from, to, Use::kRunning);
}

}  // namespace

// The instant and those after it at which something changes.
std::vector<Instant> Planner::ChangesFrom(const Cluster& cluster, Instant first) {
  std::vector<Instant> times{first};
  for (NodeNumber node = 0; node < cluster.size(); ++node) cluster.Line(node).AppendChanges(first, times);
  cluster.licences().AppendChanges(first, times);
  std::ranges::sort(times);
  times.erase(std::unique(times.begin(), times.end()), times.end());
  return times;
}

// Where they fit together now, by part. What is preferred, images that are there, may leave no room for the
// last of them: then it does not count. The books are afterwards as before.
std::optional<std::vector<Placement>> Planner::PlaceTogether(Cluster& cluster, std::vector<Part> parts) {
  if (auto nodes = PlaceInTurn(cluster, parts)) return nodes;
  auto preferring = [](const Part& part) { return part.prefer != nullptr; };
  if (std::ranges::none_of(parts, preferring)) return std::nullopt;
  for (Part& part : parts) part.prefer = nullptr;
  return PlaceInTurn(cluster, parts);
}

std::optional<std::vector<Placement>> Planner::PlaceInTurn(Cluster& cluster, const std::vector<Part>& parts) {
  const Instant now = cluster.now();
  std::vector<std::size_t> order(parts.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::vector<Placement> nodes(parts.size());
  cluster.LookAtAll();  // so that the same room gives the same choice, whatever is held for later
  for (std::size_t attempt = 0; attempt <= parts.size(); ++attempt) {
    std::size_t placed = 0;
    for (; placed < order.size(); ++placed) {
      const Part& part = parts[order[placed]];
      auto found = cluster.PlaceNow(part.request, part.length, part.prefer);
      if (!found) break;
      nodes[order[placed]] = std::move(*found);
      Put(cluster, part.request, nodes[order[placed]], now, After(now, part.length), true);
    }
    bool all = placed == order.size();
    for (std::size_t i = 0; i < placed; ++i) {
      const Part& part = parts[order[i]];
      Put(cluster, part.request, nodes[order[i]], now, After(now, part.length), false);
    }
    if (all) return nodes;
    if (placed == 0) return std::nullopt;  // it does not fit even by itself
    auto blocked = order.begin() + static_cast<std::ptrdiff_t>(placed);
    std::rotate(order.begin(), blocked, blocked + 1);
  }
  return std::nullopt;
}

// No earlier than when each fits by itself.
Instant Planner::NotBefore(Cluster& cluster, const std::vector<Part>& parts) {
  Instant start = cluster.now();
  for (const Part& part : parts) start = std::max(start, cluster.Earliest(part.request, part.length).start);
  return start;
}

std::optional<std::vector<Planned>> Planner::EarliestTogether(const Cluster& cluster,
                                                              const std::vector<Part>& parts) {
  Cluster trial = cluster;
  Instant first = NotBefore(trial, parts);
  if (first >= kNever) return std::nullopt;
  const std::vector<Instant> times = ChangesFrom(trial, first);
  auto at = [&](Cluster& books, Instant start) -> std::optional<std::vector<Planned>> {
    books.Advance(start);
    auto nodes = PlaceTogether(books, parts);
    if (!nodes) return std::nullopt;
    std::vector<Planned> planned;
    for (Placement& one : *nodes) planned.push_back({start, std::move(one)});
    return planned;
  };
  // As for other requests that depend on more than numbers of nodes: every time where that is cheap, else
  // halving finds one that fits while the change before it does not.
  constexpr std::size_t kLooksMax = 1 << 18;
  if (times.size() * trial.size() * parts.size() <= kLooksMax) {
    for (Instant start : times) {
      if (auto planned = at(trial, start)) return planned;
    }
    return std::nullopt;
  }
  auto fits = [&](Instant start) {
    Cluster books = cluster;
    return at(books, start);
  };
  auto last = fits(times.back());
  if (!last) return std::nullopt;
  std::size_t low = 0, high = times.size() - 1;
  while (low < high) {
    std::size_t middle = low + (high - low) / 2;
    if (auto planned = fits(times[middle])) {
      last = std::move(planned);
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return last;
}

void Planner::AddGang(const std::vector<PlanJob>& jobs) {
  CHECK(!jobs.empty());
  const JobNumber first = jobs.front().facts.id;
  Gang& gang = gangs_[first];
  for (const PlanJob& job : jobs) {
    Job& made = Insert(job);
    made.state = JobState::kGang;
    made.least = made.length;
    gang.push_back(job.facts.id);
    gang_first_[job.facts.id] = first;
  }
  changes_.arrived.push_back(first);
}

void Planner::RemoveGang(JobNumber first) {
  const Gang gang = gangs_.at(first);
  for (JobNumber id : gang) {
    Job& job = jobs_.at(id);
    if (job.state != JobState::kPlanned) continue;
    GainOf(job);
    Unhold(job);
    gang_others_planned_ -= id == first ? 0 : 1;
  }
  gangs_.erase(first);
  for (JobNumber id : gang) {
    gang_first_.erase(id);
    queue_.DropShape(jobs_.at(id).shape);
    jobs_.erase(id);
  }
}

void Planner::SettleGangs() {
  for (const auto& [first, gang] : gangs_) {
    auto planned = [&](JobNumber id) { return jobs_.at(id).state == JobState::kPlanned; };
    const Instant start = jobs_.at(first).start;
    auto same = [&](JobNumber id) { return planned(id) && jobs_.at(id).start == start; };
    if (std::ranges::any_of(gang, planned) && !std::ranges::all_of(gang, same)) UnholdGang(gang);
  }
}

// All of them beside those that run.
bool Planner::GangLimitsAllow(const Gang& gang) {
  bool allowed = true;
  std::size_t counted = 0;
  for (; counted < gang.size() && allowed; ++counted) {
    const Job& job = jobs_.at(gang[counted]);
    const Request& request = queue_.shape(job.shape).request;
    allowed = LimitsAllow(job.limits, request);
    Count(job.limits, request, +1);
  }
  for (std::size_t i = 0; i < counted; ++i) {
    const Job& job = jobs_.at(gang[i]);
    Count(job.limits, queue_.shape(job.shape).request, -1);
  }
  return allowed;
}

// Whether what was planned for them, which is not held now, could be held again.
bool Planner::PromisesHold(const Gang& gang, const std::vector<Planned>& before) {
  bool fits = true;
  std::size_t held = 0;
  for (; held < gang.size() && fits; ++held) {
    Job& job = jobs_.at(gang[held]);
    fits = Fits(queue_.shape(job.shape).request, before[held], job.length);
    if (fits) Hold(job, before[held]);
    if (!fits) break;
  }
  for (std::size_t i = 0; i < held; ++i) {
    Job& job = jobs_.at(gang[i]);
    Unhold(job);
    job.state = JobState::kGang;
  }
  return fits;
}

// The search is not exact: places that were promised are taken where it finds none, though who overtook has
// left them free.
std::optional<std::vector<Placement>> Planner::PlacesNow(const Gang& gang, std::vector<Planned> promised) {
  const std::vector<Part> parts = PartsOf(gang);
  for (const Part& part : parts) {
    if (!cluster_.FitsNow(part.request, part.length)) return std::nullopt;
  }
  Cluster trial = cluster_;
  if (auto found = PlaceTogether(trial, parts)) return found;
  auto nowhere = [](const Planned& one) { return one.nodes.empty(); };  // chosen, and planned on nothing
  if (promised.empty() || std::ranges::any_of(promised, nowhere)) return std::nullopt;
  for (Planned& one : promised) one.start = cluster_.now();
  if (!PromisesHold(gang, promised)) return std::nullopt;
  std::vector<Placement> nodes;
  for (Planned& one : promised) nodes.push_back(std::move(one.nodes));
  return nodes;
}

void Planner::HoldGang(const Gang& gang, std::vector<Planned> planned) {
  for (std::size_t i = 0; i < gang.size(); ++i) Hold(jobs_.at(gang[i]), std::move(planned[i]));
  gang_others_planned_ += gang.size() - 1;
}

std::vector<Planned> Planner::UnholdGang(const Gang& gang) {
  std::vector<Planned> before;
  for (std::size_t i = 0; i < gang.size(); ++i) {
    Job& job = jobs_.at(gang[i]);
    before.push_back({job.start, job.nodes});
    if (job.state != JobState::kPlanned) continue;
    Unhold(job);
    job.state = JobState::kGang;
    gang_others_planned_ -= i == 0 ? 0 : 1;
  }
  return before;
}

bool Planner::CouldRunTogether(const std::vector<PlanJob>& jobs) {
  Cluster empty = cluster_;
  for (const auto& [id, job] : jobs_) {
    if (job.state == JobState::kRunning) TakeOrGive(empty, job, Use::kRunning, false);
    if (job.state == JobState::kPlanned) TakeOrGive(empty, job, Use::kHold, false);
  }
  for (NodeNumber node = 0; node < empty.size(); ++node) empty.SetUsable(node, true);
  std::vector<Part> parts;
  for (const PlanJob& job : jobs) parts.push_back({job.request, After(job.facts.length, grace_), nullptr});
  Instant first = NotBefore(empty, parts);
  if (first >= kNever) return false;
  // When every reservation of today is over. With less room the search may find what it does not find with
  // more, and who is let in for that could wait for ever.
  empty.Advance(ChangesFrom(empty, first).back());
  return PlaceTogether(empty, parts).has_value();
}

}  // namespace slipway::plan
