// SPDX-License-Identifier: Apache-2.0
// Where every rank sits, of each namespace that is registered here: the step's own and those of spawned
// worlds. libpmix's threads ask while the loop's adds and removes. Internal to pmix/server.
#pragma once

#include <pmix_server.h>

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pmix/server/pmix_server.h"

namespace slipway {

// Any thread.
class Places {
 public:
  static constexpr std::uint32_t kForeign = UINT32_MAX;  // the node of another step's rank
  using NodeOfRank = std::vector<std::uint32_t>;         // by rank

  void SetNodes(std::uint32_t here, std::uint32_t count);  // before the first Add
  void Add(const std::string& nspace, NodeOfRank node_of);
  void Remove(const std::string& nspace);

  bool ready() const { return node_count_ != 0; }
  std::uint32_t here() const { return here_; }
  bool Knows(std::string_view nspace) const { return Find(nspace) != nullptr; }
  std::optional<std::uint32_t> NodeOf(const pmix_proc_t& proc) const;  // none: no rank of ours
  std::vector<std::string> Names() const;
  // Nothing when those are not all known ranks, or none of them is here.
  std::optional<Participants> ParticipantsOf(const pmix_proc_t* procs, std::size_t count) const;

 private:
  std::shared_ptr<const NodeOfRank> Find(std::string_view nspace) const;

  std::uint32_t here_ = 0, node_count_ = 0;
  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<const NodeOfRank>, std::less<>> of_;
};

}  // namespace slipway
