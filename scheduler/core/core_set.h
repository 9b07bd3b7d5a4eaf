// SPDX-License-Identifier: Apache-2.0
// Which cores of one node: a set of small numbers as bits. Jobs get cores by number, not by count, so that
// two jobs on a node can be bound apart and a checker can prove that nothing is allotted twice.
#pragma once

#include <compare>
#include <cstdint>
#include <vector>

#include "base/wire/wire.h"

namespace slipway::scheduler {

class CoreSet {
 public:
  CoreSet() = default;
  static CoreSet FirstN(std::uint32_t n);

  std::uint32_t count() const { return count_; }
  bool empty() const { return count_ == 0; }
  bool Contains(std::uint32_t core) const;
  std::vector<std::uint32_t> Numbers() const;  // ascending

  void Insert(const CoreSet& other);  // union
  void Remove(const CoreSet& other);  // difference
  bool Intersects(const CoreSet& other) const;
  // The `n` lowest numbered; CHECKs that there are that many.
  CoreSet Lowest(std::uint32_t n) const;

  bool operator==(const CoreSet&) const = default;

  friend void Fields(auto& archive, IsA<CoreSet> auto& v) { archive(v.words_, v.count_); }

 private:
  void Normalise();  // no zero words at the end, count right: equal sets are equal bytes
  std::vector<std::uint64_t> words_;
  std::uint32_t count_ = 0;
};

}  // namespace slipway::scheduler
