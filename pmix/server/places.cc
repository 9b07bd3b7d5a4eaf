// SPDX-License-Identifier: Apache-2.0
#include "pmix/server/places.h"

#include <algorithm>

#include "base/result/result.h"

namespace slipway {

void Places::SetNodes(std::uint32_t here, std::uint32_t count) {
  here_ = here;
  node_count_ = count;
}

void Places::Add(const std::string& nspace, NodeOfRank node_of) {
  auto kept = std::make_shared<const NodeOfRank>(std::move(node_of));
  std::lock_guard lock(mutex_);
  of_[nspace] = std::move(kept);
}

void Places::Remove(const std::string& nspace) {
  std::lock_guard lock(mutex_);
  of_.erase(nspace);
}

std::shared_ptr<const Places::NodeOfRank> Places::Find(std::string_view nspace) const {
  std::lock_guard lock(mutex_);
  auto at = of_.find(nspace);
  return at == of_.end() ? nullptr : at->second;
}

std::optional<std::uint32_t> Places::NodeOf(const pmix_proc_t& proc) const {
  auto node_of = Find(proc.nspace);
  if (!node_of || proc.rank >= node_of->size()) return std::nullopt;
  return (*node_of)[proc.rank];
}

std::vector<std::string> Places::Names() const {
  std::lock_guard lock(mutex_);
  std::vector<std::string> names;
  for (auto& [name, node_of] : of_) names.push_back(name);
  return names;
}

std::optional<Participants> Places::ParticipantsOf(const pmix_proc_t* procs, std::size_t count) const {
  struct Part {
    std::shared_ptr<const NodeOfRank> node_of;
    std::vector<bool> in;
  };
  std::map<std::string, Part> parts;  // sorted: each node must spell the same
  for (std::size_t i = 0; i < count; ++i) {
    Part& part = parts[procs[i].nspace];
    if (!part.node_of) {
      part.node_of = Find(procs[i].nspace);
      if (!part.node_of) return std::nullopt;
      part.in.resize(part.node_of->size());
    }
    if (procs[i].rank == PMIX_RANK_WILDCARD) {
      part.in.assign(part.in.size(), true);
    } else if (procs[i].rank == PMIX_RANK_LOCAL_NODE) {
      for (std::size_t rank = 0; rank < part.in.size(); ++rank)
        part.in[rank] = part.in[rank] || (*part.node_of)[rank] == here_;
    } else if (procs[i].rank < part.in.size()) {
      part.in[procs[i].rank] = true;
    } else {
      return std::nullopt;
    }
  }
  Participants who;
  bool foreign = false;
  std::vector<bool> nodes(node_count_);
  for (auto& [nspace, part] : parts) {
    bool all = std::find(part.in.begin(), part.in.end(), false) == part.in.end();
    who.members += Cat(nspace, all ? ":*;" : ":");
    for (std::size_t rank = 0; rank < part.in.size(); ++rank) {
      if (!part.in[rank]) continue;
      std::uint32_t node = (*part.node_of)[rank];
      if (node == kForeign) {
        foreign = true;
      } else {
        nodes.at(node) = true;
      }
      if (node == here_) who.here.push_back({nspace, static_cast<std::uint32_t>(rank)});
      if (!all) who.members += Cat(rank, ",");
    }
    if (!all) who.members += ';';
  }
  for (std::uint32_t node = 0; node < nodes.size(); ++node) {
    if (nodes[node]) who.nodes.push_back(node);
  }
  if (who.nodes.empty() || !nodes[here_]) return std::nullopt;
  for (auto& [nspace, part] : parts) {
    if (foreign) who.worlds.push_back(nspace);
  }
  return who;
}

}  // namespace slipway
