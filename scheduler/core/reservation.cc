// SPDX-License-Identifier: Apache-2.0
#include "scheduler/core/reservation.h"

#include <algorithm>

#include "scheduler/core/job_spec.h"

namespace slipway::scheduler {

std::optional<Window> WindowAt(const Reservation& reservation, Time now) {
  Window window{reservation.start, reservation.start.PlusSeconds(reservation.duration_s)};
  if (now < window.to) return window;
  if (reservation.period_s == 0) return std::nullopt;
  std::int64_t period = std::int64_t{reservation.period_s} * 1'000'000;
  std::int64_t later = ((now.us - window.to.us) / period + 1) * period;
  return Window{{window.from.us + later}, {window.to.us + later}};
}

// Every period is a day or a week, so a week of windows shows all that can happen.
bool Overlap(const Reservation& a, const Reservation& b, Time now) {
  constexpr int kWindowsOfAWeek = 8;
  Time at = std::max(now, b.start);
  for (int i = 0; i < kWindowsOfAWeek; ++i) {
    std::optional<Window> own = WindowAt(a, at);
    if (!own) return false;
    std::optional<Window> other = WindowAt(b, own->from);
    if (other && other->from < own->to) return true;
    at = own->to;
  }
  return false;
}

bool IsFor(const Reservation& reservation, const JobSpec& spec) {
  return std::ranges::find(reservation.users, spec.user.uid, &ReservationUser::uid) !=
             reservation.users.end() ||
         std::ranges::find(reservation.accounts, spec.account) != reservation.accounts.end();
}

}  // namespace slipway::scheduler
