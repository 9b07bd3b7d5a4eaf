// SPDX-License-Identifier: Apache-2.0
// A set of node numbers as bits: "which nodes could take this" is a few ANDs over 64 nodes a word.
#pragma once

#include <bit>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace slipway::plan {

using NodeNumber = std::uint32_t;

class NodeBits {
 public:
  explicit NodeBits(std::size_t nodes = 0, bool all = false) { Resize(nodes, all); }

  void Resize(std::size_t nodes, bool value = false) {
    std::size_t before = size_;
    words_.resize((nodes + 63) / 64, 0);
    size_ = nodes;
    for (std::size_t i = before; value && i < nodes; ++i) Set(static_cast<NodeNumber>(i));
  }
  std::size_t size() const { return size_; }
  bool Has(NodeNumber node) const { return (words_[node / 64] >> (node % 64) & 1) != 0; }
  void Set(NodeNumber node) { words_[node / 64] |= std::uint64_t{1} << (node % 64); }
  void Clear(NodeNumber node) { words_[node / 64] &= ~(std::uint64_t{1} << (node % 64)); }
  void Put(NodeNumber node, bool value) { value ? Set(node) : Clear(node); }

  std::size_t words() const { return words_.size(); }
  std::uint64_t word(std::size_t i) const { return words_[i]; }
  void SetWord(std::size_t i, std::uint64_t word) { words_[i] = word; }
  NodeBits& operator&=(const NodeBits& other) {
    for (std::size_t i = 0; i < words_.size(); ++i) words_[i] &= other.words_[i];
    return *this;
  }
  NodeBits& operator|=(const NodeBits& other) {
    for (std::size_t i = 0; i < words_.size(); ++i) words_[i] |= other.words_[i];
    return *this;
  }
  NodeBits& Remove(const NodeBits& other) {
    for (std::size_t i = 0; i < words_.size(); ++i) words_[i] &= ~other.words_[i];
    return *this;
  }
  std::size_t Count() const {
    std::size_t count = 0;
    for (std::uint64_t word : words_) count += static_cast<std::size_t>(std::popcount(word));
    return count;
  }
  // Calls see(node) in ascending order until it returns false.
  template <class See>
  void Each(See see) const {
    for (std::size_t i = 0; i < words_.size(); ++i) {
      for (std::uint64_t word = words_[i]; word != 0; word &= word - 1) {
        if (!see(static_cast<NodeNumber>(64 * i + static_cast<std::size_t>(std::countr_zero(word))))) return;
      }
    }
  }
  auto operator<=>(const NodeBits&) const = default;

 private:
  std::vector<std::uint64_t> words_;
  std::size_t size_ = 0;
};

}  // namespace slipway::plan
