// SPDX-License-Identifier: Apache-2.0
// Changes of accounts: whether they keep the tree a tree, and whether somebody's jobs still need what is to
// go.
#include <algorithm>

#include "scheduler/core/turn.h"

namespace slipway::scheduler {
namespace {

constexpr std::size_t kNameBytesMax = 64, kDescriptionBytesMax = 256;
constexpr std::uint32_t kSharesMax = 1'000'000;
constexpr std::size_t kDepthMax = 32;

template <class... Why>
Failure Refuse(Code code, const Why&... why) {
  return Fail(code, why...);
}

Result<> CheckName(const std::string& name) {
  bool good = !name.empty() && name.size() <= kNameBytesMax && name[0] != '-';
  for (char c : name) {
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    good = good && (letter || c == '_' || c == '-' || c == '.');
  }
  if (good) return {};
  return Refuse(Code::kInvalidArgument, "an account's name is 1 to ", kNameBytesMax,
                " letters, digits, '_', '-' and '.'");
}

bool HasLiveJobs(const State& state, const AssociationKey& key) {
  return std::ranges::any_of(state.live, [&](JobId id) {
    const JobSpec& spec = *state.jobs.at(id).spec;
    return spec.account == key.account && spec.user.uid == key.uid;
  });
}

struct Checker {
  const State& state;

  Result<> operator()(const AccountSet& change) const {
    const Account& account = change.account;
    TRY(CheckName(account.name));
    if (account.shares > kSharesMax) return Refuse(Code::kInvalidArgument, "shares: at most ", kSharesMax);
    if (account.description.size() > kDescriptionBytesMax)
      return Refuse(Code::kInvalidArgument, "description: at most ", kDescriptionBytesMax, " bytes");
    if (account.name == kRootAccount) {
      if (account.parent.empty()) return {};
      return Refuse(Code::kInvalidArgument, "root has no parent");
    }
    std::size_t depth = 1;
    for (std::string at = account.parent; at != kRootAccount; ++depth) {
      auto parent = state.accounts.find(at);
      if (at == account.name || depth > kDepthMax)
        return Refuse(Code::kInvalidArgument, "account ", account.name, " would be below itself or too deep");
      if (parent == state.accounts.end())
        return Refuse(Code::kNotFound, "there is no account ", at.empty() ? "without a name" : at);
      at = parent->second.parent;
    }
    return {};
  }

  Result<> operator()(const AccountRemoved& change) const {
    if (change.account == kRootAccount) return Refuse(Code::kInvalidArgument, "root cannot be removed");
    if (!state.accounts.contains(change.account))
      return Refuse(Code::kNotFound, "there is no account ", change.account);
    for (const auto& [name, account] : state.accounts) {
      if (account.parent == change.account)
        return Refuse(Code::kFailedPrecondition, "account ", change.account, " has account ", name,
                      " below it");
    }
    auto user = state.associations.lower_bound({change.account, 0});
    if (user != state.associations.end() && user->first.account == change.account)
      return Refuse(Code::kFailedPrecondition, "account ", change.account, " has users, such as ",
                    user->second.user);
    return {};
  }

  Result<> operator()(const AssociationSet& change) const {
    if (!state.accounts.contains(change.key.account))
      return Refuse(Code::kNotFound, "there is no account ", change.key.account);
    if (change.key.uid == 0) return Refuse(Code::kInvalidArgument, "jobs of uid 0 are refused");
    if (change.association.shares > kSharesMax)
      return Refuse(Code::kInvalidArgument, "shares: at most ", kSharesMax);
    return {};
  }

  Result<> operator()(const AssociationRemoved& change) const {
    const Association* part = state.FindAssociation(change.key);
    if (part == nullptr)
      return Refuse(Code::kNotFound, "uid ", change.key.uid, " is not in account ", change.key.account);
    if (HasLiveJobs(state, change.key))
      return Refuse(Code::kFailedPrecondition, part->user, " has jobs in account ", change.key.account,
                    " that have not ended");
    return {};
  }
};

}  // namespace

void Controller::Turn::operator()(const ChangeAccount& input) {
  if (!input.by.admin)
    return Answer(input.client, Fail(Code::kPermissionDenied, "accounts are changed by administrators"));
  Result<> may = std::visit(Checker{state()}, input.change);
  if (!may) return Answer(input.client, Failure(may.error()));
  std::visit([this](const auto& change) { Record(change); }, input.change);
  c_.pass_wanted_ = true;
  Answer(input.client, Done{});
}

}  // namespace slipway::scheduler
