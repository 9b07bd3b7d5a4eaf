// SPDX-License-Identifier: Apache-2.0
// Finds numbers (of records that are kept elsewhere) by a hash of what they are known by: eight bytes a slot,
// where a map would have the key once more and a node around it. The caller compares. Open addressing with
// linear probing; what is erased leaves no mark. Nobody walks through it, so that its order decides nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace slipway::plan {

class NumberIndex {
 public:
  // The number among those with this hash of which `is_it` says so.
  template <class IsIt>
  std::optional<std::uint32_t> Find(std::uint64_t hash, IsIt is_it) const {
    if (slots_.empty()) return std::nullopt;
    const std::uint32_t mark = MarkOf(hash);
    for (std::size_t at = mark & mask(); slots_[at].taken(); at = (at + 1) & mask()) {
      if (slots_[at].mark == mark && is_it(slots_[at].number)) return slots_[at].number;
    }
    return std::nullopt;
  }
  // The number (less than UINT32_MAX) is not in it yet.
  void Insert(std::uint64_t hash, std::uint32_t number);
  void Erase(std::uint64_t hash, std::uint32_t number);  // which is in it, with this hash
  std::size_t size() const { return size_; }

 private:
  static constexpr std::uint32_t kFree = UINT32_MAX;
  struct Slot {
    std::uint32_t mark = 0;  // of its hash: where it would like to be, and more
    std::uint32_t number = kFree;
    bool taken() const { return number != kFree; }
  };
  static std::uint32_t MarkOf(std::uint64_t hash) { return static_cast<std::uint32_t>(hash ^ hash >> 32); }
  std::size_t mask() const { return slots_.size() - 1; }  // the size is a power of two
  void Put(Slot slot);

  std::vector<Slot> slots_;
  std::size_t size_ = 0;
};

}  // namespace slipway::plan
