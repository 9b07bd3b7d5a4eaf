// SPDX-License-Identifier: Apache-2.0
// Which images this node holds, how it comes to hold more (fetched by image_fetch.h, then admitted by the
// broker), which go when the room that the site gives them is used up (image_cache.h), and what of them it
// can give to other nodes (offers.h). However many steps want an image, it is fetched once.
//
// In the folder: HEX.part, what has come of an image; sha256-HEX, a second name (hard link) of the broker's
// own file, by which the agent can still read what is root's by now and give it to others; index, the cache's
// memory. Where the broker had to copy (its store is on another file system, or the agent runs as root),
// there is no such name and the image is not given to others.
//
// Loop's thread only; fetches run in threads of their own, at most kFetchesMax at a time.
#pragma once

#include <deque>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "agent/images/image_cache.h"
#include "agent/images/image_fetch.h"
#include "base/loop/loop.h"
#include "launcher/client/broker_client.h"

namespace slipway {

struct ImageNews {
  std::string digest;
  bool held = false;  // the node has it now; else `error` says why not (empty: it was dropped)
  std::string error;
  FetchCounts counts;  // of the fetch that brought it
};

class Images {
 public:
  using Done = std::function<void(Result<>)>;
  // Blocks; it is called in a thread.
  using Fetcher = std::function<Result<FetchedImage>(const FetchRequirements&, FetchCancel&)>;
  using Changed = std::function<void(const ImageNews&)>;
  enum class Need {
    kPrefetch,  // only if there is room for it
    kStep       // also when running steps hold so much that the bound is exceeded
  };

  // `folder` is there. `bytes_max`: what all images together may take.
  Images(Loop& loop, std::string folder, std::uint64_t bytes_max, std::shared_ptr<ImageOffers> offers,
         Fetcher fetch, Changed changed);
  ~Images();  // cancels what is under way and waits for it

  void SetBroker(BrokerClient* broker);  // borrowed; null: away. Files that wait for it are admitted.
  // What the broker's store holds: also what came there without us, by users' `exec --import`, which counts
  // and goes like the rest.
  void SetHeld(const std::vector<StoredImage>& images);
  bool Held(const std::string& digest) const { return held_.count(digest) != 0; }
  const std::set<std::string>& held() const { return held_; }

  // Fetches and has it admitted, also when it seems to be held already: the asker knows better.
  void Want(const std::string& digest, std::uint64_t bytes, Need need, Done done);
  void Used(const std::string& digest);  // a step begins with it
  void Drop(const std::string& digest);
  // Brings the cache back under its bound, once what exceeded it is not used any more.
  void Trim();

 private:
  static constexpr std::size_t kFetchesMax = 2;
  struct Wanted {
    FetchRequirements requirements;
    Need need = Need::kPrefetch;
    std::vector<Done> waiting;
    std::unique_ptr<FetchCancel> cancel = std::make_unique<FetchCancel>();
    std::thread thread;                    // while it is being fetched
    std::uint64_t granted = 0;             // bytes that MakeRoom made for it
    std::shared_ptr<const UniqueFd> file;  // fetched, to be admitted
    FetchCounts counts;
  };
  struct Room {
    std::string digest;  // empty: nothing is coming, only the bound is to be kept
    std::uint64_t bytes = 0;
    std::shared_ptr<std::promise<Result<>>> answer;
    std::set<std::string> tried;  // in use, or the broker could not remove them
  };
  void StartNext();
  void OnFetched(const std::string& digest, Result<FetchedImage> fetched);
  void Admit(const std::string& digest);
  void Finish(const std::string& digest, const Result<>& outcome);
  void Forget(const std::string& digest);
  void KeepForOthers(const std::string& digest, const Wanted& wanted);

  // room.cc
  Result<> WaitForRoom(const std::string& digest, std::uint64_t bytes,
                       FetchCancel& cancel);  // fetch's thread
  void MakeRoom();
  Result<> Judge(const Room& room, std::uint64_t excess) const;
  std::uint64_t Coming(const Room& room) const;
  std::uint64_t StrayParts(bool remove) const;
  void Offer(const std::string& name);
  void SaveIndex();
  std::int64_t NowMs() const;
  std::string LinkPath(const std::string& digest) const;

  Loop& loop_;
  const std::string folder_;
  std::shared_ptr<ImageOffers> offers_;
  Fetcher fetch_;
  Changed changed_;
  BrokerClient* broker_ = nullptr;
  ImageCache cache_;
  MonotonicTime saved_{};
  std::set<std::string> held_;
  std::map<std::string, Wanted> wanted_;
  std::deque<std::string> queue_;  // not begun
  std::deque<Room> rooms_;         // the first is being made
  bool evicting_ = false;          // the broker was asked to remove one
  std::size_t running_ = 0;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace slipway
