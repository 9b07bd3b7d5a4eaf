// SPDX-License-Identifier: Apache-2.0
// Nodes that are set aside for a time: for maintenance, a course, a beam time. Nobody else's job is started
// that would still run there then; jobs that name the reservation run there, within its time. One that
// recurs is a series of windows, each as long as the first.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/wire/wire.h"
#include "scheduler/core/ids.h"

namespace slipway::scheduler {

struct JobSpec;

inline constexpr std::uint32_t kDayS = 24 * 3600, kWeekS = 7 * kDayS;

struct ReservationUser {
  std::uint32_t uid = 0;
  std::string name;  // for people
  bool operator==(const ReservationUser&) const = default;
};
void Fields(auto& archive, IsA<ReservationUser> auto& v) { archive(v.uid, v.name); }

struct Reservation {
  std::string name;
  std::vector<std::string> nodes;  // ascending, each once
  Time start;                      // of the first window
  std::uint32_t duration_s = 0;    // of each window
  std::uint32_t period_s = 0;      // from a window's start to the next one's: kDayS, kWeekS; 0: there is one
  // Whose jobs may name it: any of these. Neither: nobody's.
  std::vector<ReservationUser> users;
  std::vector<std::string> accounts;
  bool maintenance = false;  // may lie over others; its nodes are shown as MAINT
  bool flex = false;         // its jobs may start before a window and end after it, beside others
  std::string comment;
  bool operator==(const Reservation&) const = default;
};
void Fields(auto& archive, IsA<Reservation> auto& v) {
  archive(v.name, v.nodes, v.start, v.duration_s, v.period_s, v.users, v.accounts, v.maintenance, v.flex,
          v.comment);
}

struct Window {
  Time from, to;  // [from, to)
};
// The first window that is not over at `now`.
std::optional<Window> WindowAt(const Reservation& reservation, Time now);
// Whether two windows of them that are not over at `now` have time in common.
bool Overlap(const Reservation& a, const Reservation& b, Time now);
// Whether the job's user or account is one of those that it is for.
bool IsFor(const Reservation& reservation, const JobSpec& spec);

}  // namespace slipway::scheduler
