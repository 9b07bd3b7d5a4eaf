// SPDX-License-Identifier: Apache-2.0
// The user's own cache: blobs by digest and the SIFs made of them, under one folder (0700) that any number of
// processes may use at once. A file is there whole or not at all; one process brings it while the others
// wait; what broke off goes on where it was.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/os/fd.h"
#include "base/result/result.h"

namespace slipway::oci {

class BlobCache {
 public:
  // $SLIPWAY_CACHE, else $XDG_CACHE_HOME/slipway, else ~/.cache/slipway.
  static Result<std::string> DefaultFolder();
  // $SLIPWAY_CACHE_MAX, else kBytes; 0: no bound. kInvalidArgument when it is no size.
  static constexpr std::uint64_t kBytes = std::uint64_t{20} << 30;
  static Result<std::uint64_t> DefaultBytes();
  // What was used within so many seconds stays however much there is: somebody may be about to open it.
  static constexpr std::int64_t kStays = 600;

  // Layers and images take up at most `bytes_max`: what was used longest ago goes when more comes (0: nothing
  // does). Builds bound their own.
  static Result<BlobCache> Open(const std::string& folder, const std::atomic<bool>* cancelled = nullptr,
                                std::uint64_t bytes_max = 0);

  // Brings the bytes of `digest`: `fetch` gets the file with what is there of it (from byte 0, `have` bytes)
  // and leaves all of it there. Size and digest are checked after it; kDataLoss when they are others.
  using Fetch = std::function<Result<>(int fd, std::uint64_t have)>;
  Result<UniqueFd> Get(const std::string& digest, std::uint64_t size, const Fetch& fetch);

  // Get in two steps, so that what has come is read while it is checked and flushed.
  struct Brought {
    UniqueFd file;  // for reading, of the right size
    std::string digest;
    UniqueFd lock;            // none: it is checked and has its name
    bool is_checked = false;  // has the digest
  };
  // Nothing: somebody else is at it. Who holds something that is not kept yet must not wait for him with Get
  // before he has kept it: two such would wait for each other.
  Result<std::optional<Brought>> Bring(const std::string& digest, std::uint64_t size, const Fetch& fetch);
  // Or in three: Begin gives an empty file, which Fill fills while others read it; what there is already
  // comes as from Bring. Nothing, too, where a rest of an earlier try is: it may be damaged, so nobody should
  // read it yet. Filling waits for nobody, so any number may be begun at once.
  Result<std::optional<Brought>> Begin(const std::string& digest, std::uint64_t size);
  Result<> Fill(Brought& begun, std::uint64_t size, const Fetch& fetch) const;
  // kDataLoss when it is something else; it is gone then. Whoever waits for it goes on in any case.
  Result<> Keep(Brought& brought) const;

  // The path of a file that is made of others, by a key of [0-9a-z.]: made by `make` under the path it is
  // given when it is not there yet. A pid that was killed meanwhile leaves nothing that matters.
  Result<std::string> Made(const std::string& key,
                           const std::function<Result<>(const std::string& path)>& make);

  // What is there, also of the build cache in its folder "builds", used longest ago first.
  struct Item {
    std::string kind;  // "layer", "image", "build"
    std::string path, name;
    std::uint64_t bytes = 0;
    std::int64_t used = 0;  // seconds since 1970
  };
  Result<std::vector<Item>> Items() const;
  // false: somebody is bringing it. Who has it open goes on reading.
  Result<bool> Remove(const Item& item) const;

  // An unnamed file here.
  Result<UniqueFd> Temporary() const;
  const std::string& folder() const { return folder_; }

 private:
  BlobCache(std::string folder, const std::atomic<bool>* cancelled, std::uint64_t bytes_max)
      : folder_(std::move(folder)), cancelled_(cancelled), bytes_max_(bytes_max) {}
  void MakeRoom(std::uint64_t bytes) const;
  Result<UniqueFd> Lock(const std::string& name) const;
  Result<UniqueFd> There(const std::string& digest, std::uint64_t size) const;
  Result<std::optional<Brought>> ThereOrLocked(const std::string& digest, std::uint64_t size) const;
  Result<Brought> BringLocked(UniqueFd lock, const std::string& digest, std::uint64_t size,
                              const Fetch& fetch) const;
  Result<> Refuse(const Brought& brought) const;
  Result<> KeepLocked(Brought& brought) const;
  std::string PathOf(const std::string& digest) const {
    return Cat(folder_, "/blobs/sha256/", digest.substr(7));
  }
  Result<UniqueFd> LockFile(const std::string& name) const;
  std::string folder_;
  const std::atomic<bool>* cancelled_;
  std::uint64_t bytes_max_;
};

}  // namespace slipway::oci
