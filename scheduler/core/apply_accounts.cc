// SPDX-License-Identifier: Apache-2.0
#include "scheduler/core/apply_accounts.h"

#include <algorithm>

namespace slipway::scheduler {
namespace {

void EnsureAccount(State& state, const std::string& name, const std::string& parent) {
  state.accounts.try_emplace(name, Account{name, parent, 1, "", {}});
}

bool HasUsers(const State& state, const std::string& account) {
  auto first = state.associations.lower_bound({account, 0});
  return first != state.associations.end() && first->first.account == account;
}

}  // namespace

void ApplyAccount(State& state, const AccountSet& event) {
  EnsureAccount(state, kRootAccount, "");
  if (event.account.name.empty() || !(event.account.name == kRootAccount) == event.account.parent.empty())
    return;
  if (!event.account.parent.empty() && !state.accounts.contains(event.account.parent)) return;
  state.accounts[event.account.name] = event.account;
}

void ApplyAccount(State& state, const AccountRemoved& event) {
  bool parent = std::ranges::any_of(state.accounts,
                                    [&](const auto& entry) { return entry.second.parent == event.account; });
  if (!parent && !HasUsers(state, event.account)) state.accounts.erase(event.account);
}

void ApplyAccount(State& state, const AssociationSet& event) {
  if (!state.accounts.contains(event.key.account)) return;
  if (event.association.is_default) {
    for (auto& [key, other] : state.associations) {
      if (key.uid == event.key.uid) other.is_default = false;
    }
  }
  state.associations[event.key] = event.association;
  state.usage.try_emplace(event.key, 0);
}

void ApplyAccount(State& state, const AssociationRemoved& event) {
  state.associations.erase(event.key);
  state.usage.erase(event.key);
}

void EnsureAssociation(State& state, const JobSpec& spec) {
  if (spec.account.empty()) return;
  AssociationKey key{spec.account, spec.user.uid};
  if (state.associations.contains(key)) return;
  EnsureAccount(state, kRootAccount, "");
  EnsureAccount(state, spec.account, kRootAccount);
  state.associations[key] = {spec.user.name, 1, false, true, {}};
  state.usage.try_emplace(key, 0);
}

}  // namespace slipway::scheduler
