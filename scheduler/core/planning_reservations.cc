// SPDX-License-Identifier: Apache-2.0
// Reservations in the plan. A reserved node is there twice: as others see it, with nothing free in the
// windows, and as the reservation's jobs see it, with nothing free outside of them; what a job takes it takes
// of both. So that a start is never promised across a window that is not planned yet, the last planned window
// of a series is taken to last for ever; each one that is over makes room for the next.
#include <algorithm>

#include "scheduler/core/planning_policy.h"

namespace slipway::scheduler {
namespace {

constexpr int kWindowsPlanned = 8;  // of a series

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

void PlanningPolicy::AddReservations(const State& state) {
  views_.clear();
  windows_change_ = {Time::kNeverUs};
  plan::Instant now = planner_.cluster().now();
  for (const auto& [name, reservation] : state.reservations) {
    if (auto window = WindowAt(reservation, {now})) windows_change_ = std::min(windows_change_, window->to);
    if (reservation.users.empty() && reservation.accounts.empty()) continue;
    for (const std::string& node : reservation.nodes) {
      auto number = numbers_.find(node);
      if (number == numbers_.end()) continue;
      views_[{name, node}] = planner_.cluster().AddView(number->second);
      names_.push_back(node);
      view_of_.push_back(name);
      Await(*state.FindNode(node));
    }
  }
  for (const auto& [name, reservation] : state.reservations) {
    for (const std::string& node : reservation.nodes) {
      if (auto number = numbers_.find(node); number != numbers_.end()) Reserve(reservation, number->second);
    }
  }
}

void PlanningPolicy::Reserve(const Reservation& reservation, plan::NodeNumber number) {
  plan::Vec total = planner_.cluster().Total(number);
  std::vector<Span> spans = SpansOf(reservation, planner_.cluster().now());
  auto own = views_.find({reservation.name, names_[number]});
  planner_.cluster().EachView(number, [&](plan::NodeNumber view) {
    bool others = view != number && !reservation.maintenance;  // maintenance takes the node from all
    if (others || (own != views_.end() && view == own->second)) return;
    for (const Span& span : spans) {
      bool last = reservation.period_s > 0 && span.to == spans.back().to;
      planner_.Reserve(view, total, span.from, last ? plan::kNever : span.to);
    }
  });
  if (own == views_.end() || reservation.flex) return;
  plan::Instant from = planner_.cluster().now();
  for (const Span& span : spans) {
    planner_.Reserve(own->second, total, from, span.from);
    from = span.to;
  }
  planner_.Reserve(own->second, total, from, plan::kNever);
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
