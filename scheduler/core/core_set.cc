// SPDX-License-Identifier: Apache-2.0
// Sets of cores, 64 to a word.
#include "scheduler/core/core_set.h"

#include <algorithm>
#include <bit>

namespace slipway::scheduler {

CoreSet CoreSet::FirstN(std::uint32_t n) {
  CoreSet set;
  set.words_.assign(n / 64, ~std::uint64_t{0});
  if (n % 64 != 0) set.words_.push_back((std::uint64_t{1} << (n % 64)) - 1);
  set.count_ = n;
  return set;
}

bool CoreSet::Contains(std::uint32_t core) const {
  return core / 64 < words_.size() && (words_[core / 64] >> (core % 64) & 1) != 0;
}

std::vector<std::uint32_t> CoreSet::Numbers() const {
  std::vector<std::uint32_t> numbers;
  numbers.reserve(count_);
  for (std::size_t i = 0; i < words_.size(); ++i) {
    for (std::uint64_t word = words_[i]; word != 0; word &= word - 1) {
      numbers.push_back(static_cast<std::uint32_t>(64 * i) +
                        static_cast<std::uint32_t>(std::countr_zero(word)));
    }
  }
  return numbers;
}

void CoreSet::Insert(const CoreSet& other) {
  if (words_.size() < other.words_.size()) words_.resize(other.words_.size());
  for (std::size_t i = 0; i < other.words_.size(); ++i) words_[i] |= other.words_[i];
  Normalise();
}

void CoreSet::Remove(const CoreSet& other) {
  for (std::size_t i = 0; i < std::min(words_.size(), other.words_.size()); ++i)
    words_[i] &= ~other.words_[i];
  Normalise();
}

bool CoreSet::Intersects(const CoreSet& other) const {
  for (std::size_t i = 0; i < std::min(words_.size(), other.words_.size()); ++i) {
    if ((words_[i] & other.words_[i]) != 0) return true;
  }
  return false;
}

CoreSet CoreSet::Lowest(std::uint32_t n) const {
  CHECK(n <= count_);
  CoreSet lowest = *this;
  for (std::uint32_t extra = count_ - n; extra > 0;) {
    std::uint64_t& word = lowest.words_.back();
    auto here = static_cast<std::uint32_t>(std::popcount(word));
    if (here <= extra) {
      extra -= here;
      lowest.words_.pop_back();
    } else {
      for (; extra > 0; --extra) word &= ~(std::uint64_t{1} << (63 - std::countl_zero(word)));
    }
  }
  lowest.Normalise();
  return lowest;
}

void CoreSet::Normalise() {
  while (!words_.empty() && words_.back() == 0) words_.pop_back();
  count_ = 0;
  for (std::uint64_t word : words_) count_ += static_cast<std::uint32_t>(std::popcount(word));
}

}  // namespace slipway::scheduler
