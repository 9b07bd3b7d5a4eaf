// SPDX-License-Identifier: Apache-2.0
// How much room the node's images take, and which of them go when another needs it: the one that was used
// longest ago first. What it knows of uses is written to a small file; the broker's list is what counts, so a
// file that is lost or behind costs a good choice, nothing else.
//
// A pure decision. Loop's thread.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result/result.h"
#include "launcher/spec/broker_protocol.h"

namespace slipway {

class ImageCache {
 public:
  explicit ImageCache(std::uint64_t bytes_max) : bytes_max_(bytes_max) {}

  void Hold(const std::string& digest, std::uint64_t bytes, std::int64_t now_ms);  // also: is used now
  void Use(const std::string& digest, std::int64_t now_ms);                        // not held: nothing
  void Learn(const std::string& digest, std::uint64_t bytes);                      // not held: nothing
  void Drop(const std::string& digest) { held_.erase(digest); }
  // Forgets what the broker's list has not, and learns what it has: sizes, and uses that were not ours.
  void Reconcile(const std::vector<StoredImage>& held);

  std::uint64_t bytes() const;
  std::uint64_t bytes_max() const { return bytes_max_; }
  // By how many bytes what is held and `coming` exceed the bound.
  std::uint64_t Excess(std::uint64_t coming) const;
  // Held images in the order in which they should go, without `needed`.
  std::vector<std::string> Candidates(const std::set<std::string>& needed) const;

  std::string Encode() const;
  // Lines that are no entry are passed over.
  void Decode(std::string_view text);

 private:
  struct Entry {
    std::uint64_t bytes = 0;
    std::int64_t used_ms = 0;
  };
  std::uint64_t bytes_max_;
  std::map<std::string, Entry> held_;
};

}  // namespace slipway
