// SPDX-License-Identifier: Apache-2.0
#include "scheduler/server/image_sources.h"

#include <algorithm>

namespace slipway::scheduler {
namespace {

// A thousand nodes that ask do not make us look through a thousand nodes each.
constexpr Duration kLookEvery = std::chrono::milliseconds(200);

}  // namespace

WhomToAsk ImageSources::For(const std::string& digest, const std::string& asker, const State& state,
                            MonotonicTime now) {
  for (auto at = images_.begin(); at != images_.end();) {
    std::erase_if(at->second.fetching, [&](auto& node) { return now - node.second > kFetchingFor; });
    at = at->second.fetching.empty() ? images_.erase(at) : std::next(at);
  }
  Image& image = images_[digest];
  bool fresh = image.fetching.empty();
  image.fetching[asker] = now;
  if (fresh || now - image.looked >= kLookEvery) LookAgain(digest, image, state, now);
  WhomToAsk answer;
  std::vector<ImageHolder>& holders = answer.holders;
  auto others = [&](const ImageHolder& holder) { return holder.node != asker; };
  std::copy_if(image.known.begin(), image.known.end(), std::back_inserter(holders), others);
  std::shuffle(holders.begin(), holders.end(), chance_);
  if (holders.size() > kHoldersMax) holders.resize(kHoldersMax);
  answer.askers = static_cast<std::uint32_t>(image.fetching.size());
  answer.place =
      static_cast<std::uint32_t>(std::distance(image.fetching.begin(), image.fetching.find(asker)));
  return answer;
}

void ImageSources::LookAgain(const std::string& digest, Image& image, const State& state, MonotonicTime now) {
  image.looked = now;
  image.known.clear();
  for (const auto& [name, node] : state.nodes) {
    if (node.state != NodeState::kUp || node.address.empty()) continue;
    if (node.images.contains(digest) || image.fetching.contains(name))
      image.known.push_back({name, node.address});
  }
}

}  // namespace slipway::scheduler
