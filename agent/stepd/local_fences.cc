// SPDX-License-Identifier: Apache-2.0
#include "agent/stepd/local_fences.h"

#include <algorithm>
#include <set>

#include "base/text/text.h"

namespace slipway {
namespace {
constexpr std::size_t kNamedMax = 16;
}  // namespace

LocalFences::~LocalFences() {
  for (auto& [id, waiting] : waiting_) loop_.Cancel(waiting.timer);
}

// In one spelling for all who are in it, and only of ranks that can be missing here.
LocalFences::Ranks LocalFences::Expanded(const std::vector<PmixPeer>& ranks) const {
  Ranks all;
  for (const PmixPeer& peer : ranks) {
    std::vector<std::uint32_t> here = host_.ranks_here(peer.nspace);
    for (std::uint32_t rank : here) {
      if (peer.rank == rank || peer.rank == kAllRanks) all.emplace_back(peer.nspace, rank);
    }
  }
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

void LocalFences::Entered(std::uint64_t id, const PmixPeer& peer, const std::vector<PmixPeer>& ranks) {
  if (host_.limit.count() == 0) return;
  Waiting& waiting = waiting_[id];
  waiting.peer = peer;
  waiting.fence = Expanded(ranks);
  waiting.timer = loop_.After(host_.limit, [this, id] { OnLate(id); });
}

void LocalFences::Left(std::uint64_t id) {
  auto at = waiting_.find(id);
  if (at == waiting_.end()) return;
  loop_.Cancel(at->second.timer);
  waiting_.erase(at);
}

std::vector<std::uint32_t> LocalFences::Outside(const std::string& world) const {
  std::vector<std::uint32_t> outside = host_.ranks_here(world);
  for (const auto& [id, waiting] : waiting_) {
    if (waiting.peer.nspace == world) std::erase(outside, waiting.peer.rank);
  }
  return outside;
}

void LocalFences::OnLate(std::uint64_t id) {
  const Waiting& late = waiting_.at(id);
  std::set<std::pair<std::string, std::uint32_t>> missing(late.fence.begin(), late.fence.end());
  for (const auto& [other, waiting] : waiting_) {
    if (waiting.fence == late.fence) missing.erase({waiting.peer.nspace, waiting.peer.rank});
  }
  if (missing.empty()) return;
  std::vector<std::string> names;
  for (const auto& [world, rank] : missing) {
    if (names.size() < kNamedMax) names.push_back(host_.name_of({world, rank}));
  }
  if (missing.size() > kNamedMax) names.emplace_back("…");
  host_.fail(Cat("a fence did not end within ", host_.limit.count(),
                 " s (--mpi-timeout); missing: ", Join(names, ", ")));
}

}  // namespace slipway
