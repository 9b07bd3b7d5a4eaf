// SPDX-License-Identifier: Apache-2.0
// Records that are known by their number, by the hundred thousand: in blocks, so that one more costs the same
// whatever is there already. A vector would move all of them now and then, into memory that nobody has
// touched yet: one submission in some thousands paid tens of milliseconds for it.
#pragma once

#include <cstdint>
#include <vector>

namespace slipway::plan {

template <class Item>
class Numbered {
 public:
  // A new one, as Item{} makes it. Those that are there stay where they are in memory (a copy's are its own).
  std::uint32_t Append() {
    if (size_ == blocks_.size() * kBlock) blocks_.emplace_back(kBlock);
    return size_++;
  }
  std::uint32_t size() const { return size_; }
  Item& operator[](std::uint32_t number) { return blocks_[number / kBlock][number % kBlock]; }
  const Item& operator[](std::uint32_t number) const { return blocks_[number / kBlock][number % kBlock]; }

  // In the order of their numbers.
  template <class See>
  void Each(See see) {
    for (std::uint32_t number = 0; number < size_; ++number) see((*this)[number]);
  }

 private:
  static constexpr std::uint32_t kBlock = 256;
  std::vector<std::vector<Item>> blocks_;
  std::uint32_t size_ = 0;
};

}  // namespace slipway::plan
