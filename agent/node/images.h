// SPDX-License-Identifier: Apache-2.0
// Which images this node holds, and how it comes to hold more: fetched (image_fetch.h), then admitted by the
// broker. However many steps want an image, it is fetched once.
//
// Loop's thread only; fetches run in threads of their own, at most kFetchesMax at a time.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "agent/node/image_fetch.h"
#include "base/loop/loop.h"
#include "launcher/client/broker_client.h"

namespace slipway {

class Images {
 public:
  using Done = std::function<void(Result<>)>;
  // `fetch` blocks; it is called in a thread.
  using Fetcher = std::function<Result<UniqueFd>(const FetchRequirements&, FetchCancel&)>;
  // `changed`: the node holds the image now, or does not and why (empty: it was dropped).
  using Changed = std::function<void(const std::string& digest, bool held, const std::string& error)>;

  Images(Loop& loop, std::string folder, Fetcher fetch, Changed changed);
  ~Images();  // cancels what is under way and waits for it

  void SetBroker(BrokerClient* broker);  // borrowed; null: away. Files that wait for it are admitted.
  void SetHeld(const std::vector<std::string>& digests);
  bool Held(const std::string& digest) const { return held_.count(digest) != 0; }
  const std::set<std::string>& held() const { return held_; }

  // Fetches and has it admitted, also when it seems to be held already: the asker knows better.
  void Want(const std::string& digest, std::uint64_t bytes, Done done);
  void Drop(const std::string& digest);

 private:
  static constexpr std::size_t kFetchesMax = 2;
  struct Wanted {
    FetchRequirements requirements;
    std::vector<Done> waiting;
    std::unique_ptr<FetchCancel> cancel = std::make_unique<FetchCancel>();
    std::thread thread;  // while it is being fetched
    UniqueFd file;       // fetched, to be admitted
  };
  void StartNext();
  void OnFetched(const std::string& digest, Result<UniqueFd> file);
  void Admit(const std::string& digest);
  void Finish(const std::string& digest, const Result<>& outcome);

  Loop& loop_;
  std::string folder_;
  Fetcher fetch_;
  Changed changed_;
  BrokerClient* broker_ = nullptr;
  std::set<std::string> held_;
  std::map<std::string, Wanted> wanted_;
  std::deque<std::string> queue_;  // not begun
  std::size_t running_ = 0;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace slipway
