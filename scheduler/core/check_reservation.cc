// SPDX-License-Identifier: Apache-2.0
// Whether a job may be in the reservation that it names, and can end within it. Asked at submission and again
// as long as it waits: reservations end and change.
#include "scheduler/core/placement.h"

namespace slipway::scheduler {

Result<> CheckReservation(const State& state, const Site& site, const JobSpec& spec,
                          std::uint32_t time_limit_s) {
  const std::string& name = spec.resources.reservation;
  if (name.empty()) return {};
  auto found = state.reservations.find(name);
  if (found == state.reservations.end())
    return Fail(Code::kNotFound, "ReservationDeleted: there is no reservation ", name);
  const Reservation& reservation = found->second;
  if (!IsFor(reservation, spec))
    return Fail(Code::kPermissionDenied, "ReservationAccess: reservation ", name, " is not for ",
                spec.user.name, spec.account.empty() ? "" : Cat(" in account ", spec.account));
  if (reservation.flex) return {};
  // The planner keeps a job's nodes for the grace behind its limit.
  std::int64_t most = std::int64_t{reservation.duration_s} - site.plan.grace_s;
  if (time_limit_s == 0 || time_limit_s > most)
    return Fail(Code::kFailedPrecondition, "Reservation: ", name, " lasts ", reservation.duration_s,
                " s; ask for a time limit of at most ", most, " s");
  return {};
}

}  // namespace slipway::scheduler
