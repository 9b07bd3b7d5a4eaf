// SPDX-License-Identifier: Apache-2.0
// Gets an image's bytes, chunk by chunk, several at a time, from the controller and from the nodes that have
// them already or are fetching them too (chunk_choice.h says which from whom). Each chunk is compared with
// the manifest's digest, so that it does not matter who gave it; what one gives wrongly is fetched from
// another. The whole is the broker's to compare before anything mounts it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "agent/images/offers.h"
#include "base/loop/loop.h"
#include "base/os/fd.h"

namespace grpc {
class Channel;
class ClientContext;
}  // namespace grpc

namespace slipway {

// Ends a fetch from another thread.
class FetchCancel {
 public:
  void Cancel();  // any thread
  bool cancelled() const { return cancelled_; }

 private:
  friend class CancellableCall;
  std::atomic<bool> cancelled_{false};
  std::mutex mutex_;  // guards calls_
  std::set<grpc::ClientContext*> calls_;
};

// Whom a fetch may ask.
struct FetchSources {
  std::shared_ptr<grpc::Channel> controller;
  // To another node's agent; empty: nobody but the controller is asked.
  std::function<Result<std::shared_ptr<grpc::Channel>>(const std::string& node, const std::string& address)>
      dial;
  std::shared_ptr<ImageOffers> offers;  // where what has come is given to others; may be null
};

struct FetchRequirements {
  std::string digest;
  std::uint64_t bytes = 0;  // as announced; 0: not known
  std::string folder;       // on the file system where the image is to stay
  unsigned chunks_in_flight = 8;
  // Asked once the size is known, before anything is written; may block. Empty: there is room.
  std::function<Result<>(std::uint64_t bytes)> make_room;
  Duration give_up_after = std::chrono::seconds(60);  // without a single chunk
};

struct FetchCounts {
  std::uint32_t chunks = 0;   // of the image
  std::uint32_t resumed = 0;  // that an earlier fetch had left
  std::uint32_t from_controller = 0, from_peers = 0;
  std::uint32_t again = 0;  // calls that failed, stalled or brought wrong bytes
};

struct FetchedImage {
  std::shared_ptr<const UniqueFd> file;  // read-only; no descriptor for writing is left
  std::string path;                      // PartialPath
  FetchCounts counts;
};

// Where a fetch keeps what has come.
std::string PartialPath(const std::string& folder, const std::string& digest);

// Blocks: call it in a thread of its own. What has come stays at PartialPath whatever happens, and the next
// fetch goes on with it, unless nobody has the image (kNotFound). kDataLoss: the controller gives what is not
// that image, also when asked again; kResourceExhausted: the disk is full; kUnavailable: nobody gave anything
// for give_up_after; kCancelled.
Result<FetchedImage> FetchImage(const FetchSources& sources, const FetchRequirements& wanted,
                                FetchCancel& cancel);

}  // namespace slipway
