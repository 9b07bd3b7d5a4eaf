// SPDX-License-Identifier: Apache-2.0
// A rank may ask for what another has not put yet: PMIx has the host wait for that key (PMIX_REQUIRED_KEY),
// since what the other has committed so far would be an answer without it. libpmix tells nobody of a commit,
// so it is asked again, soon at first and then less often.
//
// Loop's thread only.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/loop/loop.h"
#include "pmix/server/pmix_server.h"

namespace slipway {

inline constexpr std::size_t kKeyWaitsMax = 64;  // different keys at once: each is a question to libpmix

class KeyWaits {
 public:
  using Has = std::function<bool(const PmixPeer& peer, const std::string& key)>;
  using Done = std::function<void(bool there)>;

  KeyWaits(Loop& loop, Has has) : loop_(loop), has_(std::move(has)) {}
  ~KeyWaits() { loop_.Cancel(timer_); }  // nobody is answered then
  KeyWaits(const KeyWaits&) = delete;
  KeyWaits& operator=(const KeyWaits&) = delete;

  // `done` once, perhaps within the call: when `peer` has committed it, or `limit` is over, or there are too
  // many that are waited for.
  void Await(const PmixPeer& peer, const std::string& key, std::chrono::nanoseconds limit, Done done);

 private:
  struct Waiter {
    MonotonicTime until;
    Done done;
  };
  using Key = std::pair<std::pair<std::string, std::uint32_t>, std::string>;  // whose, which
  void Look();
  void Arm();

  Loop& loop_;
  const Has has_;
  std::map<Key, std::vector<Waiter>> waiting_;
  std::chrono::nanoseconds pause_{0};
  Loop::TimerId timer_;
};

}  // namespace slipway
