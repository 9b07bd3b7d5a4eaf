// SPDX-License-Identifier: Apache-2.0
// Gets an image's bytes from whoever serves them. Each chunk is compared with the manifest's digest and the
// whole with the digest that was asked for, so that it does not matter who that is.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <set>
#include <string>

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
  // Sleeps that long unless cancelled.
  void Sleep(int milliseconds);

 private:
  friend class CancellableCall;
  std::atomic<bool> cancelled_{false};
  std::mutex mutex_;  // guards calls_
  std::condition_variable changed_;
  std::set<grpc::ClientContext*> calls_;
};

struct FetchRequirements {
  std::string digest;
  std::uint64_t bytes = 0;  // as announced; 0: not known
  std::string folder;       // on the file system where the image is to stay
  unsigned chunks_in_flight = 4;
};

// Blocks: call it in a thread of its own. The file has no name, so whatever happens nothing of it is left;
// the descriptor is read-only and the only one. kDataLoss: the bytes are not those of the digest, also when
// asked again; kResourceExhausted: the disk is full; kUnavailable: nobody serves it for a minute; kCancelled.
Result<UniqueFd> FetchImage(const std::shared_ptr<grpc::Channel>& source, const FetchRequirements& wanted,
                            FetchCancel& cancel);

}  // namespace slipway
