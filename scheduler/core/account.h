// SPDX-License-Identifier: Apache-2.0
// Who uses the cluster for whom: accounts are a tree below "root", users have parts (associations) in them.
// Both have shares of what their parent has, and what they used counts against these (fair_tree.h).
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <string>

#include "base/wire/wire.h"
#include "scheduler/core/ids.h"
#include "scheduler/core/limits.h"

namespace slipway::scheduler {

inline constexpr char kRootAccount[] = "root";
inline constexpr char kDefaultAccount[] = "default";  // of users who have none, where that is allowed

struct Account {
  std::string name, parent;  // parent of root: ""
  std::uint32_t shares = 1;
  std::string description;
  Limits limits;
  bool operator==(const Account&) const = default;
};
void Fields(auto& archive, IsA<Account> auto& v) {
  archive(v.name, v.parent, v.shares, v.description, v.limits);
}

struct AssociationKey {
  std::string account;
  std::uint32_t uid = 0;
  auto operator<=>(const AssociationKey&) const = default;
};
void Fields(auto& archive, IsA<AssociationKey> auto& v) { archive(v.account, v.uid); }

struct Association {
  std::string user;  // the name, for people
  std::uint32_t shares = 1;
  bool is_default = false;  // of the user's associations
  bool implied = false;     // made by a submission, not by an administrator
  Limits limits;
  bool operator==(const Association&) const = default;
};
void Fields(auto& archive, IsA<Association> auto& v) {
  archive(v.user, v.shares, v.is_default, v.implied, v.limits);
}

// How usage is kept (usage.h). It is the state's own, so that replay needs no settings.
struct UsageClock {
  std::uint32_t period_s = 0;   // 0: usage neither decays nor is it charged before a job's end
  std::uint32_t decay_q32 = 0;  // at each period's end usage is multiplied by this / 2^32; 0: stays
  Time at;                      // the end of the last period
  bool operator==(const UsageClock&) const = default;
};
void Fields(auto& archive, IsA<UsageClock> auto& v) { archive(v.period_s, v.decay_q32, v.at); }

}  // namespace slipway::scheduler
