// SPDX-License-Identifier: Apache-2.0
// Who has to go so that a job can start now? Tried on a copy of the books: all that may go is taken away, and
// then each is put back, the dearest first, while the job still fits.
#include <algorithm>

#include "base/result/result.h"
#include "scheduler/plan/planner.h"

namespace slipway::plan {

std::optional<std::vector<Victim>> Planner::VictimsFor(JobNumber id, const std::vector<Victim>& candidates,
                                                       const std::vector<JobNumber>& planned) const {
  const Job& job = jobs_.at(id);
  if (job.state == JobState::kRunning ||
      (GangOf(id) == nullptr && !LimitsAllow(job.limits, queue_.shape(job.shape).request)))
    return std::nullopt;
  auto needed = VictimsAmong(job, candidates, planned);
  if (!needed || std::ranges::all_of(*needed, &Victim::lends) ||
      std::ranges::none_of(*needed, &Victim::lends))
    return needed;
  // Cores are lent to one that starts now: who waits for others to go has nothing of them yet.
  std::vector<Victim> some = candidates;
  std::erase_if(some, [](const Victim& victim) { return !victim.lends; });
  auto enough = VictimsAmong(job, some, planned);
  if (enough && std::ranges::all_of(*enough, &Victim::lends)) return enough;
  some = candidates;
  for (Victim& victim : some) victim.lends = false;
  return VictimsAmong(job, some, planned);
}

std::optional<std::vector<Victim>> Planner::VictimsAmong(const Job& job, std::vector<Victim> running,
                                                         const std::vector<JobNumber>& planned) const {
  const JobNumber id = job.entry.job;
  const Request& request = queue_.shape(job.shape).request;
  const Gang* gang = GangOf(id);
  Cluster trial = cluster_;
  const Gang alone{id};
  const Gang& own = gang == nullptr ? alone : *gang;
  for (JobNumber one : own) {
    if (jobs_.at(one).state == JobState::kPlanned) TakeOrGive(trial, jobs_.at(one), Use::kHold, false);
  }
  const std::vector<Part> parts = gang == nullptr ? std::vector<Part>() : PartsOf(*gang);
  auto fits = [&] {
    return gang == nullptr ? trial.FitsNow(request, job.length) : PlaceTogether(trial, parts).has_value();
  };
  for (JobNumber other : planned) {
    bool others = std::ranges::find(own, other) == own.end();
    if (others && jobs_.at(other).state == JobState::kPlanned)
      TakeOrGive(trial, jobs_.at(other), Use::kHold, false);
  }
  auto put = [&](const Victim& victim, bool back) {
    const Job& other = jobs_.at(victim.job);
    CHECK(other.state == JobState::kRunning);
    victim.lends ? TakeOrGiveLent(trial, other, back) : TakeOrGive(trial, other, Use::kRunning, back);
  };
  for (Victim& victim : running)
    victim.lends = victim.lends && EndLater(trial, jobs_.at(victim.job), After(trial.now(), job.length));
  for (const Victim& victim : running) put(victim, false);
  if (!fits()) return std::nullopt;
  std::vector<Victim> needed;
  for (auto victim = running.rbegin(); victim != running.rend(); ++victim) {
    put(*victim, true);
    if (fits()) continue;
    put(*victim, false);
    needed.push_back(*victim);
  }
  return needed;
}

// What Lend will take behind the job's present end is taken, if nothing is planned there.
bool Planner::EndLater(Cluster& cluster, const Job& job, Instant until) const {
  const Request& request = queue_.shape(job.shape).request;
  const Instant end = After(job.end, std::max<Instant>(until - cluster.now(), 1));
  const Instant back = std::min(std::max(job.end, until), end - 1);  // from when on it has its cores again
  bool fits = request.licences.empty() || cluster.licences().Fits(request.licences, job.end, end);
  auto each = [&](const auto& see) {
    for (const NodeShare& share : job.nodes) {
      Vec what = TakenOn(request, share);
      cluster.EachView(share.node, [&](NodeNumber view) { see(view, what - LentOf(what), LentOf(what)); });
    }
  };
  each([&](NodeNumber view, const Vec& kept, const Vec& lent) {
    fits = fits && cluster.RoomOver(view, job.end, end).Holds(kept) &&
           cluster.RoomOver(view, back, end).Holds(lent);
  });
  if (!fits) return false;
  each([&](NodeNumber view, const Vec& kept, const Vec& lent) {
    cluster.Take(view, kept, job.end, end, Use::kHold);
    cluster.Take(view, lent, back, end, Use::kHold);
  });
  cluster.TakeLicences(request.licences, job.end, end, Use::kHold);
  return true;
}

std::optional<PlanStart> Planner::StartOrPlan(JobNumber id) {
  DropPromise(id);
  if (const Gang* gang = GangOf(id)) {
    if (rules_.backfill != Backfill::kProfile) return std::nullopt;
    if (auto planned = EarliestTogether(cluster_, PartsOf(*gang))) HoldGang(*gang, std::move(*planned));
    return std::nullopt;
  }
  Job& job = jobs_.at(id);
  const Request& request = queue_.shape(job.shape).request;
  const NodeBits* prefer = job.entry.prefer == 0 ? nullptr : &cluster_.SetOf(job.entry.prefer);
  if (auto nodes = cluster_.PlaceNow(request, job.length, prefer)) {
    queue_.Remove(job.group, job.entry);
    PlanStart start{id, *nodes, job.length - grace_};
    Start(job, std::move(*nodes), After(cluster_.now(), job.length));
    return start;
  }
  if (rules_.backfill != Backfill::kProfile) return std::nullopt;
  if (Planned planned = cluster_.Earliest(request, job.length); planned.start < kNever) {
    queue_.Remove(job.group, job.entry);
    Hold(job, std::move(planned));
  }
  return std::nullopt;
}

void Planner::DropPromise(JobNumber id) {
  auto found = jobs_.find(id);
  if (found == jobs_.end() || found->second.state != JobState::kPlanned) return;
  if (const Gang* gang = GangOf(id)) {
    UnholdGang(*gang);
  } else {
    Unhold(found->second);
    Enqueue(found->second);
  }
  GainEverywhere();
}

void Planner::DropPromises() {
  while (!planned_.empty()) DropPromise(planned_.begin()->second);
}

void Planner::TakeOrGiveLent(Cluster& cluster, const Job& job, bool take) const {
  const Request& request = queue_.shape(job.shape).request;
  for (const NodeShare& share : job.nodes) {
    Vec lent = LentOf(TakenOn(request, share));
    cluster.EachView(share.node, [&](NodeNumber view) {
      take ? cluster.Take(view, lent, job.start, job.end, Use::kRunning)
           : cluster.Give(view, lent, job.start, job.end, Use::kRunning);
    });
  }
}

void Planner::Lend(JobNumber id, Instant until) {
  auto found = jobs_.find(id);
  if (found == jobs_.end() || found->second.state != JobState::kRunning) return;
  Job& job = found->second;
  TakeOrGive(cluster_, job, Use::kRunning, false);
  ends_.erase({job.end, id});
  Instant later = std::max<Instant>(until - cluster_.now(), 1);
  job.lent_until = std::max(until, cluster_.now() + 1);
  job.end = After(job.end, later);
  TakeOrGive(cluster_, job, Use::kRunning, true);
  ends_.emplace(job.end, id);
  GainEverywhere();
}

void Planner::EndsBy(JobNumber id, Instant end) {
  auto found = jobs_.find(id);
  if (found == jobs_.end() || found->second.state != JobState::kRunning || found->second.end <= end) return;
  Job& job = found->second;
  TakeOrGive(cluster_, job, Use::kRunning, false);
  ends_.erase({job.end, id});
  job.end = end;
  job.lent_until = std::min(job.lent_until, job.end);
  TakeOrGive(cluster_, job, Use::kRunning, true);
  ends_.emplace(job.end, id);
  GainEverywhere();
}

}  // namespace slipway::plan
