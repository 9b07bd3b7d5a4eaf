// SPDX-License-Identifier: Apache-2.0
// Which nodes another node may ask for an image: those that said they hold it, and those that are fetching it
// themselves. Each asker gets a few of them by chance, so that many askers spread over many givers. This is
// the place where a pipelined tree for hundreds of nodes would be planned: who asks whom is decided nowhere
// else.
//
// What is said here may be out of date; whoever is asked says what it really has. Loop's thread only.
#pragma once

#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "base/loop/loop.h"
#include "scheduler/core/state.h"

namespace slipway::scheduler {

struct ImageHolder {
  std::string node, address;
};
struct WhomToAsk {
  std::vector<ImageHolder> holders;     // at most kHoldersMax, never the asker
  std::uint32_t askers = 1, place = 0;  // as SourcesReply of image.proto
};

class ImageSources {
 public:
  explicit ImageSources(std::uint64_t seed = std::random_device()()) : chance_(seed) {}
  // `asker` counts as fetching for kFetchingFor.
  WhomToAsk For(const std::string& digest, const std::string& asker, const State& state, MonotonicTime now);

  static constexpr std::size_t kHoldersMax = 16;
  static constexpr Duration kFetchingFor = std::chrono::seconds(6);

 private:
  struct Image {
    std::map<std::string, MonotonicTime> fetching;  // node → when it asked last
    std::vector<ImageHolder> known;                 // of both kinds
    MonotonicTime looked{};                         // when `known` was put together
  };
  void LookAgain(const std::string& digest, Image& image, const State& state, MonotonicTime now);

  std::map<std::string, Image> images_;
  std::mt19937_64 chance_;
};

}  // namespace slipway::scheduler
