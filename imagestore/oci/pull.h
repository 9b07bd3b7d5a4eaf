// SPDX-License-Identifier: Apache-2.0
// From any address to a SIF: layers are packed as they are read, a SIF in a registry or on a server is taken
// as it is. The output appears whole or not at all.
#pragma once

#include <optional>
#include <string>

#include "imagestore/oci/source.h"
#include "imagestore/squashfs/pack.h"

namespace slipway::oci {

struct PullOptions {
  SourceOptions source;
  squashfs::Compressor compressor = squashfs::Compressor::kZstd;
  bool keep_ids = false;
  bool digest = true;  // of the finished SIF, which is read once more for it
  squashfs::Limits limits{.entries_max = 4'000'000, .bytes_max = std::uint64_t{256} << 30};
  std::string cache_folder;  // empty: the user's
  // As that of SourceOptions; also "packing".
  std::function<void(const std::string& what, std::uint64_t done, std::uint64_t total)> progress;
};

struct Pulled {
  std::string manifest_digest;  // of the source; empty where it has none
  std::string digest;           // of the SIF; empty where none was asked for
  std::uint64_t size = 0;       // of the SIF
  std::vector<std::string> dropped;
};

// `output` is replaced when it is there.
Result<Pulled> Pull(const Reference& reference, const std::string& output, const PullOptions& options);
// The path of a SIF in the cache, brought or made when it is not there; safe while others do the same.
// Archives and folders on this machine are packed into it under the digest of what they hold.
Result<std::string> PullToCache(const Reference& reference, const PullOptions& options);

}  // namespace slipway::oci
