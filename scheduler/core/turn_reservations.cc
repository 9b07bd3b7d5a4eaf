// SPDX-License-Identifier: Apache-2.0
// Reservations are made by administrators and go when they are over. What would be a surprise later is
// refused when it is asked for: nodes that do not exist, jobs that will still run there, two reservations of
// one node.
#include <algorithm>

#include "scheduler/core/constraint.h"
#include "scheduler/core/turn.h"

namespace slipway::scheduler {
namespace {

constexpr std::size_t kReservationsMax = 1000, kNameBytesMax = 64, kCommentBytesMax = 1024;
constexpr std::size_t kUsersMax = 10'000;
constexpr std::uint32_t kDurationMinS = 60, kDurationMaxS = 366 * kDayS;
constexpr std::int64_t kAheadMaxS = std::int64_t{10} * 366 * kDayS;

template <class... Why>
Failure Refuse(const Why&... why) {
  return Fail(Code::kInvalidArgument, why...);
}

Result<> CheckName(const std::string& name) {
  bool good = !name.empty() && name.size() <= kNameBytesMax && name[0] != '-';
  for (char c : name) {
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    good = good && (letter || c == '_' || c == '-' || c == '.');
  }
  if (good) return {};
  return Refuse("a reservation's name is 1 to ", kNameBytesMax, " letters, digits, '_', '-' and '.'");
}

class Checker {
 public:
  Checker(const State& state, const Site& site, const ReservationRequest& request, Time now)
      : state_(state), site_(site), request_(request), wanted_(request.wanted), now_(now) {}

  // The reservation as it is to be, with its nodes.
  Result<Reservation> Complete() {
    TRY(CheckName(wanted_.name));
    bool known = state_.reservations.contains(wanted_.name);
    if (request_.create && known) return Refuse("there is a reservation ", wanted_.name, " already");
    if (!request_.create && !known) return Fail(Code::kNotFound, "there is no reservation ", wanted_.name);
    if (request_.create && state_.reservations.size() >= kReservationsMax)
      return Refuse("there are ", kReservationsMax, " reservations already");
    TRY(CheckTimes());
    TRY(CheckUsers());
    if (wanted_.nodes.empty()) {
      TRY(ChooseNodes());
    } else {
      TRY(CheckNodes());
    }
    return std::move(wanted_);
  }

 private:
  Result<> CheckTimes() const {
    if (wanted_.duration_s < kDurationMinS || wanted_.duration_s > kDurationMaxS)
      return Refuse("a reservation lasts a minute to a year");
    if (wanted_.period_s != 0 && wanted_.period_s != kDayS && wanted_.period_s != kWeekS)
      return Refuse("a reservation recurs daily or weekly");
    if (wanted_.period_s != 0 && wanted_.duration_s > wanted_.period_s)
      return Refuse("the reservation would still last when it recurs");
    if (now_.PlusSeconds(kAheadMaxS) < wanted_.start)
      return Refuse("the reservation begins in over ten years");
    bool first = now_.us / 1'000'000 < wanted_.start.us / 1'000'000 + wanted_.duration_s;
    if (request_.create && !first) return Refuse("the reservation's time is over already");
    if (!WindowAt(wanted_, now_)) return Refuse("the reservation's time is over already");
    return {};
  }

  Result<> CheckUsers() const {
    if (wanted_.users.size() > kUsersMax || wanted_.accounts.size() > kUsersMax)
      return Refuse("a reservation is for at most ", kUsersMax, " users and accounts");
    if (wanted_.comment.size() > kCommentBytesMax)
      return Refuse("comment: at most ", kCommentBytesMax, " bytes");
    for (const std::string& account : wanted_.accounts) {
      if (!state_.accounts.contains(account)) return Fail(Code::kNotFound, "there is no account ", account);
    }
    bool nobodys = wanted_.users.empty() && wanted_.accounts.empty();
    if (nobodys && !wanted_.maintenance)
      return Refuse("say for whom it is (users or accounts), or that it is for maintenance");
    if (nobodys && wanted_.flex)
      return Refuse("flex is about the jobs of a reservation, and this one has none");
    return {};
  }

  // Why the node cannot be part of it; empty: it can.
  std::string Obstacle(const Node& node) const {
    std::optional<Window> window = WindowAt(wanted_, now_);
    for (JobId id : node.jobs) {
      const Job& job = *state_.FindJob(id);
      if (request_.ignore_jobs || job.spec->resources.reservation == wanted_.name) continue;
      bool ends = job.time_limit_s > 0 && job.started.PlusSeconds(std::int64_t{job.time_limit_s} +
                                                                  site_.plan.grace_s) <= window->from;
      if (!ends) return Cat("job ", JobName(job), " is expected to run on ", node.name, " then");
    }
    if (wanted_.maintenance) return {};
    for (const auto& [name, other] : state_.reservations) {
      if (name == wanted_.name || other.maintenance || !Overlap(wanted_, other, now_)) continue;
      if (std::ranges::binary_search(other.nodes, node.name, NodeNameLess{}))
        return Cat(node.name, " is in reservation ", name, " then");
    }
    return {};
  }

  Result<> CheckNodes() {
    std::ranges::sort(wanted_.nodes, NodeNameLess{});
    wanted_.nodes.erase(std::unique(wanted_.nodes.begin(), wanted_.nodes.end()), wanted_.nodes.end());
    for (const std::string& name : wanted_.nodes) {
      const Node* node = state_.FindNode(name);
      if (node == nullptr) return Fail(Code::kNotFound, "there is no node ", name);
      if (std::string why = Obstacle(*node); !why.empty())
        return Fail(Code::kFailedPrecondition, why,
                    why.starts_with("job") ? "; choose other nodes or another time, or ignore jobs"
                                           : "; choose other nodes or another time");
    }
    return {};
  }

  Result<> ChooseNodes() {
    if (request_.node_count == 0) return Refuse("say which nodes, or how many");
    const Partition* partition = site_.FindPartition(request_.partition);
    if (partition == nullptr && !request_.partition.empty())
      return Fail(Code::kNotFound, "there is no partition ", request_.partition);
    Constraint constraint = TRY(ParseConstraint(request_.features));
    if (!constraint.counts.empty() || !constraint.one_of.empty())
      return Refuse("the features of a reservation's nodes are of each node: no counts, no [a|b]");
    std::string why;
    // As placement prefers them, so that what stays free is what jobs would take first.
    std::vector<const Node*> nodes;
    for (const auto& [name, node] : state_.nodes) nodes.push_back(&node);
    std::ranges::stable_sort(nodes, {}, [&](const Node* node) {
      return std::pair(!node->usable(), site_.TraitsOf(node->name).weight);
    });
    for (const Node* node : nodes) {
      if (wanted_.nodes.size() == request_.node_count) break;
      if (partition != nullptr && !partition->Has(node->name)) continue;
      if (node->state == NodeState::kDown || !constraint.every.Holds(site_.TraitsOf(node->name).features))
        continue;
      std::string obstacle = Obstacle(*node);
      obstacle.empty() ? wanted_.nodes.push_back(node->name) : void(why = std::move(obstacle));
    }
    if (wanted_.nodes.size() < request_.node_count)
      return Fail(Code::kFailedPrecondition, "only ", wanted_.nodes.size(), " of ", request_.node_count,
                  " nodes can be reserved then", why.empty() ? "" : Cat(" (", why, ")"));
    std::ranges::sort(wanted_.nodes, NodeNameLess{});
    return {};
  }

  const State& state_;
  const Site& site_;
  const ReservationRequest& request_;
  Reservation wanted_;
  Time now_;
};

Result<> CheckRemoval(const State& state, const std::string& name) {
  if (!state.reservations.contains(name)) return Fail(Code::kNotFound, "there is no reservation ", name);
  for (JobId id : state.active) {
    const Job& job = *state.FindJob(id);
    if (job.spec->resources.reservation == name)
      return Fail(Code::kFailedPrecondition, "job ", JobName(job), " runs in reservation ", name,
                  "; cancel it first");
  }
  return {};
}

}  // namespace

void Controller::Turn::operator()(const ChangeReservation& input) {
  if (!input.by.admin)
    return Answer(input.client, Fail(Code::kPermissionDenied, "reservations are made by administrators"));
  if (const auto* removed = std::get_if<ReservationRemoved>(&input.change)) {
    Result<> may = CheckRemoval(state(), removed->reservation);
    if (!may) return Answer(input.client, Failure(may.error()));
    Record(*removed);
  } else {
    Result<Reservation> made =
        Checker(state(), c_.site(), std::get<ReservationRequest>(input.change), now_).Complete();
    if (!made) return Answer(input.client, Failure(made.error()));
    c_.reservation_over_ = {0};
    Record(ReservationSet{std::move(*made)});
  }
  c_.pass_wanted_ = true;
  Answer(input.client, Done{});
}

void Controller::Turn::EndReservations() {
  if (now_ < c_.reservation_over_) return;
  std::vector<std::string> over;
  c_.reservation_over_ = {Time::kNeverUs};
  for (const auto& [name, reservation] : state().reservations) {
    if (reservation.period_s > 0) continue;
    Time end = WindowAt(reservation, {0})->to;
    end <= now_ ? over.push_back(name) : void(c_.reservation_over_ = std::min(c_.reservation_over_, end));
  }
  for (std::string& name : over) Record(ReservationRemoved{std::move(name)});
}

}  // namespace slipway::scheduler
