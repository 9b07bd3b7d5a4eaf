// SPDX-License-Identifier: Apache-2.0
// Levels are compared exactly, as products of integers: share_a · usage_b against share_b · usage_a (the sums
// over the siblings are the same for both). Accounts that are equal are merged before their children are
// ranked, and a user who equals an account has that account's best rank.
#include "scheduler/core/fair_tree.h"

#include <algorithm>

namespace slipway::scheduler {
namespace {

struct Part {
  std::uint64_t shares = 0, usage = 0;
  std::uint64_t shares_sum = 0, usage_sum = 0;  // of the siblings and itself
  const std::string* account = nullptr;         // or …
  const AssociationKey* user = nullptr;
};

// a before b: negative. Nothing used is before everything; no share is after everything.
int Compare(const Part& a, const Part& b) {
  auto side = [](const Part& x, const Part& y) {
    // (shares_x / shares_sum_x) · (usage_y / usage_sum_y); sums differ where accounts were merged.
    long double share = x.shares_sum == 0 ? 0 : static_cast<long double>(x.shares) / x.shares_sum;
    long double usage = y.usage_sum == 0 ? 0 : static_cast<long double>(y.usage) / y.usage_sum;
    return share * usage;
  };
  if (a.usage == 0 || b.usage == 0) return (a.usage == 0 ? 0 : 1) - (b.usage == 0 ? 0 : 1);
  if (a.shares_sum == b.shares_sum && a.usage_sum == b.usage_sum) {
    auto left = static_cast<unsigned __int128>(a.shares) * b.usage;
    auto right = static_cast<unsigned __int128>(b.shares) * a.usage;
    return left == right ? 0 : left > right ? -1 : 1;
  }
  long double left = side(a, b), right = side(b, a);
  return left == right ? 0 : left > right ? -1 : 1;
}

std::uint64_t Ppm(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? 0
                    : static_cast<std::uint64_t>(static_cast<unsigned __int128>(part) * 1'000'000 / whole);
}

class Walk {
 public:
  explicit Walk(const State& state) : state_(state) {
    for (const auto& [name, account] : state.accounts) {
      if (!account.parent.empty()) children_[account.parent].push_back(&account);
    }
    std::uint32_t users = static_cast<std::uint32_t>(state.associations.size());
    rank_ = users;
    for (const auto& [key, association] : state.associations) tree_.users[key].of = users;
    Sum(kRootAccount, 0);
  }

  FairTree Run() {
    Rank(PartsOf(kRootAccount));
    return std::move(tree_);
  }

 private:
  // Bounded: the tree cannot be deeper than it has accounts, and a cycle hangs off nothing.
  std::uint64_t Sum(const std::string& account, std::size_t depth) {
    std::uint64_t sum = 0;
    for (auto at = state_.associations.lower_bound({account, 0});
         at != state_.associations.end() && at->first.account == account; ++at)
      sum += UsageOf(at->first);
    if (depth <= state_.accounts.size()) {
      for (const Account* child : children_[account]) sum += Sum(child->name, depth + 1);
    }
    tree_.accounts[account].usage = sum;
    return sum;
  }
  std::uint64_t UsageOf(const AssociationKey& key) const {
    auto found = state_.usage.find(key);
    return found == state_.usage.end() ? 0 : found->second;
  }

  std::vector<Part> PartsOf(const std::string& account) {
    std::vector<Part> parts;
    for (const Account* child : children_[account])
      parts.push_back({child->shares, tree_.accounts[child->name].usage, 0, 0, &child->name, nullptr});
    for (auto at = state_.associations.lower_bound({account, 0});
         at != state_.associations.end() && at->first.account == account; ++at)
      parts.push_back({at->second.shares, UsageOf(at->first), 0, 0, nullptr, &at->first});
    std::uint64_t shares = 0, usage = 0;
    for (const Part& part : parts) {
      shares += part.shares;
      usage += part.usage;
    }
    for (Part& part : parts) {
      part.shares_sum = shares;
      part.usage_sum = usage;
      FairShare& told = part.account != nullptr ? tree_.accounts[*part.account] : tree_.users[*part.user];
      told.usage = part.usage;
      told.share_ppm = Ppm(part.shares, shares);
      told.usage_ppm = Ppm(part.usage, usage);
      told.level_ppm = told.usage_ppm == 0 ? UINT64_MAX : Ppm(told.share_ppm, told.usage_ppm);
    }
    return parts;
  }

  void Rank(std::vector<Part> parts) {
    std::ranges::stable_sort(parts, [](const Part& a, const Part& b) { return Compare(a, b) < 0; });
    for (std::size_t i = 0; i < parts.size();) {
      std::size_t end = i + 1;
      while (end < parts.size() && Compare(parts[i], parts[end]) == 0) ++end;
      std::uint32_t best = rank_;
      std::vector<Part> below;
      for (; i < end; ++i) {
        if (parts[i].user != nullptr) {
          tree_.users[*parts[i].user].rank = best;
          --rank_;
        } else {
          std::vector<Part> children = PartsOf(*parts[i].account);
          below.insert(below.end(), children.begin(), children.end());
        }
      }
      if (!below.empty()) Rank(std::move(below));
    }
  }

  const State& state_;
  std::map<std::string, std::vector<const Account*>> children_;
  FairTree tree_;
  std::uint32_t rank_ = 0;
};

}  // namespace

FairTree ComputeFairTree(const State& state) { return Walk(state).Run(); }

}  // namespace slipway::scheduler
