// SPDX-License-Identifier: Apache-2.0
// A layer takes as long to unpack as to download. Growth tells a reader, who may be a child without rights,
// how much of a file has come, so that he need not wait for all of it.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "base/os/fd.h"
#include "imagestore/squashfs/byte_source.h"

namespace slipway::oci {

class Growth {
 public:
  static Result<std::shared_ptr<Growth>> Make();

  // For whoever brings the file, one thread, from its first byte to its last. `bytes` are there now; fewer
  // than before: it came anew from the start, and what has been read of it is worth nothing. Never waits.
  void Tell(std::uint64_t bytes);
  void Fail();
  bool restarted() const { return restarted_; }
  // The file is whole: from now on nobody is waited for.
  void Done() { done_ = true; }
  bool done() const { return done_; }

  // For whoever reads, one at a time, also in a process forked before the first Tell: waits until there is
  // more than `at` and says how much there is. kUnavailable after Fail, after a restart and after Stop.
  Result<std::uint64_t> Await(std::uint64_t at);
  // Any thread, also in that process: who reads is not to wait any more.
  // What was seen before can be read again all the same.
  void Stop();

 private:
  explicit Growth(UniqueFd event) : event_(std::move(event)) {}
  void Add(std::uint64_t number);
  UniqueFd event_;                     // sums up what Tell adds; a wait takes it out
  std::uint64_t told_ = 0, seen_ = 0;  // the first is the bringer's, the second the reader's
  bool broken_ = false;                // the reader's
  std::atomic<bool> restarted_ = false, done_ = false, stopped_ = false;
};

// `size` bytes of `fd` (borrowed) while they come.
std::unique_ptr<squashfs::ByteSource> GrowingFile(int fd, std::uint64_t size, std::shared_ptr<Growth> growth);

}  // namespace slipway::oci
