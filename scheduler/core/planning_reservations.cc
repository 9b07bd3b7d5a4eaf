// SPDX-License-Identifier: Apache-2.0
// Reservations in the plan. A reserved node is there twice: as others see it, with nothing free in the
// windows, and as the reservation's jobs see it, with nothing free outside of them; what a job takes it takes
// of both. So that a start is never promised across a window that is not planned yet, the last planned window
// of a series is taken to last for ever; each one that is over makes room for the next.
//
// A change of reservations takes all of them out of the plan, and the promises, and puts both in again; the
// jobs that wait, of which there may be a hundred thousand, stay as they are.
#include <algorithm>

#include "scheduler/core/planning_policy.h"

namespace slipway::scheduler {
namespace {

constexpr int kWindowsPlanned = 8;               // of a series
constexpr const char kRemovedView[] = "(gone)";  // no reservation's name

struct Span {
  plan::Instant from, to;
};

std::vector<Span> SpansOf(const Reservation& reservation, plan::Instant now) {
  std::vector<Span> spans;
  Time at{now};
  for (int i = 0; i < (reservation.period_s > 0 ? kWindowsPlanned : 1); ++i) {
    std::optional<Window> window = WindowAt(reservation, at);
    if (!window) break;
    spans.push_back({std::max(window->from.us, now), window->to.us});
    at = window->to;
  }
  return spans;
}

std::string InMinutes(plan::Instant length) {
  std::int64_t minutes = std::max<std::int64_t>(1, (length / kSecond + 59) / 60);
  return minutes < 120 ? Cat(minutes, minutes == 1 ? " minute" : " minutes") : Cat(minutes / 60, " hours");
}

}  // namespace

// Of its nodes, as its jobs see them. Nothing may be reserved or promised yet.
void PlanningPolicy::AddViews(const State& state, const Reservation& reservation) {
  if (reservation.users.empty() && reservation.accounts.empty()) return;
  plan::Cluster& cluster = planner_.cluster();
  for (const std::string& node : reservation.nodes) {
    auto number = numbers_.find(node);
    if (number == numbers_.end()) continue;
    plan::NodeNumber view = cluster.AddView(number->second);
    views_[{reservation.name, node}] = view;
    names_.push_back(node);
    view_of_.push_back(reservation.name);
    Await(*state.FindNode(node));
    for (const auto& [digest, set] : image_sets_)
      cluster.PutInSet(set, view, state.FindNode(node)->images.contains(digest));
  }
}

void PlanningPolicy::ReserveAll(const State& state) {
  windows_change_ = {Time::kNeverUs};
  taken_.clear();
  for (const auto& [name, reservation] : state.reservations) {
    if (auto window = WindowAt(reservation, {planner_.cluster().now()}))
      windows_change_ = std::min(windows_change_, window->to);
    for (const std::string& node : reservation.nodes) {
      if (auto number = numbers_.find(node); number != numbers_.end()) Reserve(reservation, number->second);
    }
  }
}

void PlanningPolicy::Take(plan::NodeNumber view, plan::Instant from, plan::Instant to) {
  planner_.Reserve(view, planner_.cluster().Total(view), from, to);
  taken_.push_back({view, from, to});
}

// Nothing is taken for reservations any more, and those that are others have no nodes. `theirs`: the jobs
// that name one of these.
void PlanningPolicy::ForgetReservations(const State& state, const std::vector<JobId>& theirs) {
  for (const Taken& taken : taken_)
    planner_.Unreserve(taken.view, planner_.cluster().Total(taken.view), taken.from, taken.to);
  for (JobId id : theirs) {
    priorities_.Forget(*state.FindJob(id));
    planner_.Remove(id.value);
  }
  auto changed = [&](const std::string& reservation) { return changed_reservations_.contains(reservation); };
  std::erase_if(views_, [&](const auto& entry) {
    const auto& [key, view] = entry;
    if (!changed(key.first)) return false;
    planner_.cluster().RemoveView(view);
    view_of_[view] = kRemovedView;
    ++removed_views_;
    return true;
  });
  std::erase_if(requests_, [&](const auto& entry) { return changed(entry.first.reservation); });
  std::erase_if(wheres_, [&](const auto& entry) { return changed(std::get<3>(entry.first)); });
}

// What runs is expected to end when a look at it now says so: not when it was looked at before, nor a little
// later whenever it had not ended in time. Not of jobs
// whose reservation is another: what they ask for is not known yet.
void PlanningPolicy::SyncRunning(const State& state) {
  for (JobId id : state.active) {
    const Job& job = *state.FindJob(id);
    if (changed_reservations_.contains(job.spec->resources.reservation)) continue;
    bool same = planner_.IsRunning(id.value) && planner_.EndOf(id.value) == EndOf(job);
    if (same && !job.lent_to && !job.suspended()) continue;
    planner_.Remove(id.value);
    SyncJob(state, id);
  }
}

void PlanningPolicy::RemakeReservations(const State& state) {
  plan::Cluster& cluster = planner_.cluster();
  planner_.Advance(state.now.us);
  // What is not followed event by event, or when numbers have become too many.
  if (priorities_.totals() != TotalsOf(state) || removed_views_ > numbers_.size() + 1024)
    return Rebuild(state);
  const Time now{cluster.now()};
  BeginJobs(state, now);
  GiveSwitchesUp(state, now);
  const Promises promises = PlannedStarts();
  planner_.DropPromises();
  std::vector<JobId> theirs;
  for (const auto& [id, job] : state.jobs) {
    if (!IsTerminal(job.state) && changed_reservations_.contains(job.spec->resources.reservation))
      theirs.push_back(id);
  }
  ForgetReservations(state, theirs);
  SyncRunning(state);
  for (const std::string& name : changed_reservations_) {
    if (auto found = state.reservations.find(name); found != state.reservations.end())
      AddViews(state, found->second);
  }
  ReserveAll(state);
  changed_reservations_.clear();
  for (JobId id : theirs) SyncJob(state, id);
  priorities_.BeginAgain();
  limits_.LookAgain();
  cluster.ForgetHints();
  for (const auto& [id, job] : state.jobs) {
    if (IsTerminal(job.state) || !planner_.Knows(id.value)) continue;
    planner_.Learn(id.value);
    priorities_.Count(job, planner_);
  }
  KeepPromises(state, promises);
}

void PlanningPolicy::Reserve(const Reservation& reservation, plan::NodeNumber number) {
  std::vector<Span> spans = SpansOf(reservation, planner_.cluster().now());
  auto own = views_.find({reservation.name, names_[number]});
  planner_.cluster().EachView(number, [&](plan::NodeNumber view) {
    bool others = view != number && !reservation.maintenance;  // maintenance takes the node from all
    if (others || (own != views_.end() && view == own->second)) return;
    for (const Span& span : spans) {
      bool last = reservation.period_s > 0 && span.to == spans.back().to;
      Take(view, span.from, last ? plan::kNever : span.to);
    }
  });
  if (own == views_.end() || reservation.flex) return;
  plan::Instant from = planner_.cluster().now();
  for (const Span& span : spans) {
    Take(own->second, from, span.from);
    from = span.to;
  }
  Take(own->second, from, plan::kNever);
}

std::optional<plan::NodeNumber> PlanningPolicy::NumberFor(const Resources& resources,
                                                          const std::string& node) const {
  if (resources.reservation.empty()) {
    auto number = numbers_.find(node);
    return number == numbers_.end() ? std::nullopt : std::optional(number->second);
  }
  auto view = views_.find({resources.reservation, node});
  return view == views_.end() ? std::nullopt : std::optional(view->second);
}

bool PlanningPolicy::WaitsForWindow(const State& state, const Job& job) const {
  auto found = state.reservations.find(job.spec->resources.reservation);
  if (found == state.reservations.end() || found->second.flex) return false;
  std::optional<Window> window = WindowAt(found->second, state.now);
  return window && state.now < window->from;
}

// Which reservations are in the way of a job that does not fit now, and when.
void PlanningPolicy::AddReservedNodes(const State& state, const Job& job, Explanation& to) {
  const std::string& own = job.spec->resources.reservation;
  if (WaitsForWindow(state, job)) {
    Window window = *WindowAt(state.reservations.at(own), state.now);
    to.reasons.push_back(Cat("Reservation: ", own, " begins in ", InMinutes(window.from.us - state.now.us)));
  }
  const plan::NodeBits& may = planner_.cluster().SetOf(RequestFor(job).request.where);
  Time end = {state.now.us + LengthOf(job) + grace()};
  for (const auto& [name, reservation] : state.reservations) {
    std::optional<Window> window = WindowAt(reservation, state.now);
    if (name == own || !window || end <= window->from || (!own.empty() && !reservation.maintenance)) continue;
    std::size_t count = 0;
    for (const std::string& node : reservation.nodes) {
      auto number = NumberFor(job.spec->resources, node);
      count += number && *number < may.size() && may.Has(*number) ? 1 : 0;
    }
    if (count == 0) continue;
    bool begun = window->from <= state.now;
    to.reasons.push_back(Cat(
        "ReqNodeNotAvail: ", count, " of the nodes that it may use ", count == 1 ? "is" : "are",
        " reserved (", name, reservation.maintenance ? ", maintenance) " : ") ",
        begun ? "for another " : "in ", InMinutes((begun ? window->to.us : window->from.us) - state.now.us)));
  }
}

}  // namespace slipway::scheduler
