// SPDX-License-Identifier: Apache-2.0
// Ranks that a step spawns must not share the processors that its first ranks are bound to while others are
// idle. This knows which processors of the job here are nobody's, and lends each spawned rank as many as the
// step's own ranks have.
//
// Pure, one thread.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <vector>

namespace slipway {

class SpareProcessors {
 public:
  SpareProcessors() = default;
  // `all`: the job's here, those of one core beside one another. `bound`: by rank here; empty: ranks are not
  // bound, and neither are spawned ones.
  SpareProcessors(std::vector<std::uint32_t> all, const std::vector<std::vector<std::uint32_t>>& bound);

  // Sorted; all of the job's when too few are left (the asker has said that it does not mind), or nothing is
  // bound.
  std::vector<std::uint32_t> Lend(std::uint32_t task);
  void Return(std::uint32_t task);

 private:
  std::vector<std::uint32_t> all_;
  std::size_t each_ = 0;  // processors of a rank; 0: unbound
  std::set<std::uint32_t> taken_;
  std::map<std::uint32_t, std::vector<std::uint32_t>> lent_;  // by task
};

// The same processors, those of one core beside one another, by what `sysfs` ("/sys") tells of them.
std::vector<std::uint32_t> ByCore(std::vector<std::uint32_t> processors, const char* sysfs);

}  // namespace slipway
