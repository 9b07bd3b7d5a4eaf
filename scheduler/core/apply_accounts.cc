// SPDX-License-Identifier: Apache-2.0
#include "scheduler/core/apply_accounts.h"

#include <algorithm>
#include <utility>

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
    for (const std::string& account : state.accounts_of[event.key.uid])
      state.associations.at({account, event.key.uid}).is_default = false;
  }
  PutAssociation(state, event.key, event.association);
}

void ApplyAccount(State& state, const AssociationRemoved& event) {
  if (state.associations.erase(event.key) == 0) return;
  state.usage.erase(event.key);
  auto accounts = state.accounts_of.find(event.key.uid);
  accounts->second.erase(event.key.account);
  if (accounts->second.empty()) state.accounts_of.erase(accounts);
}

void PutAssociation(State& state, const AssociationKey& key, Association association) {
  state.associations[key] = std::move(association);
  state.usage.try_emplace(key, 0);
  state.accounts_of[key.uid].insert(key.account);
}

void EnsureAssociation(State& state, const JobSpec& spec) {
  if (spec.account.empty()) return;
  AssociationKey key{spec.account, spec.user.uid};
  if (state.associations.contains(key)) return;
  EnsureAccount(state, kRootAccount, "");
  EnsureAccount(state, spec.account, kRootAccount);
  PutAssociation(state, key, {spec.user.name, 1, false, true, {}});
}

}  // namespace slipway::scheduler
