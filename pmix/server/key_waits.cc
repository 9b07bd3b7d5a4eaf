// SPDX-License-Identifier: Apache-2.0
#include "pmix/server/key_waits.h"

#include <algorithm>

namespace slipway {
namespace {

constexpr std::chrono::nanoseconds kFirstPause = std::chrono::milliseconds(2);
constexpr std::chrono::nanoseconds kLongestPause = std::chrono::milliseconds(200);

}  // namespace

void KeyWaits::Await(const PmixPeer& peer, const std::string& key, std::chrono::nanoseconds limit,
                     Done done) {
  if (has_(peer, key)) return done(true);
  Key which{{peer.nspace, peer.rank}, key};
  if (!waiting_.contains(which) && waiting_.size() >= kKeyWaitsMax) return done(false);
  waiting_[which].push_back({loop_.Now() + limit, std::move(done)});
  pause_ = kFirstPause;  // for the newcomer's sake
  Arm();
}

void KeyWaits::Arm() {
  loop_.Cancel(timer_);
  if (waiting_.empty()) return;
  timer_ = loop_.After(pause_, [this] { Look(); });
  pause_ = std::min(2 * pause_, kLongestPause);
}

void KeyWaits::Look() {
  MonotonicTime now = loop_.Now();
  std::vector<std::pair<Done, bool>> over;
  for (auto at = waiting_.begin(); at != waiting_.end();) {
    auto& [which, waiters] = *at;
    bool there = has_({which.first.first, which.first.second}, which.second);
    std::erase_if(waiters, [&](Waiter& waiter) {
      if (!there && now < waiter.until) return false;
      over.emplace_back(std::move(waiter.done), there);
      return true;
    });
    at = waiters.empty() ? waiting_.erase(at) : std::next(at);
  }
  Arm();
  for (auto& [done, there] : over) done(there);
}

}  // namespace slipway
