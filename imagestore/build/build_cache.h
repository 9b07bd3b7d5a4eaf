// SPDX-License-Identifier: Apache-2.0
// Who changes the last line of a recipe should not wait for all of Debian again. What an image's tree is
// after a step of a build is kept in the user's cache under a key that says what it came from (state_keys.h):
// a squashfs with owners and modes as they were. One folder (0700), which any number of builds may use at
// once: a state gets its name when all of it is on the disk, so whatever is killed leaves whole states or
// none, and one that is taken away while somebody reads it stays readable to him.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <string>

#include "base/os/fd.h"
#include "base/result/result.h"

namespace slipway::build {

inline constexpr std::uint64_t kBuildCacheBytes = std::uint64_t{20} << 30;
inline constexpr std::chrono::hours kBuildCacheAge{7 * 24};

class BuildCache {
 public:
  struct Options {
    std::string folder;  // made when it is not there
    std::uint64_t bytes_max = kBuildCacheBytes;
    // Older states are not used: what a section brings from a network is another today.
    std::chrono::seconds age_max = kBuildCacheAge;
    const std::atomic<bool>* cancelled = nullptr;
  };
  static Result<BuildCache> Open(Options options);

  // From here on `key` can be restored, whoever takes it away. It counts as used now.
  bool Has(const std::string& key);
  // Into the empty directory `root`, of a key that it Has; as root of a machine or of a user namespace.
  // kDataLoss: it was damaged (as far as a squashfs tells) and is gone now, and `root` has some of it.
  Result<> Restore(const std::string& key, const std::string& root);
  std::size_t damaged() const { return damaged_; }  // how many were
  // Those that were used longest ago go to make room. kResourceExhausted when it alone is more than there may
  // be.
  Result<> Keep(const std::string& key, const std::string& root);

 private:
  explicit BuildCache(Options options) : options_(std::move(options)) {}
  std::string PathOf(const std::string& key) const;
  Result<> MakeRoom(std::uint64_t bytes) const;
  Options options_;
  std::map<std::string, UniqueFd> held_;
  std::size_t damaged_ = 0;
};

}  // namespace slipway::build
