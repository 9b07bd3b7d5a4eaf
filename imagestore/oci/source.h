// SPDX-License-Identifier: Apache-2.0
// Any place that an image may come from, opened: its configuration, and its layers as tars that can be read.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "imagestore/oci/blob_cache.h"
#include "imagestore/oci/manifest.h"
#include "imagestore/oci/reference.h"
#include "imagestore/oci/registry.h"
#include "imagestore/squashfs/stream_pack.h"

namespace slipway::oci {

struct SourceOptions {
  std::string arch;  // "amd64", "arm/v7"; empty: this machine's
  RegistryOptions registry;
  unsigned downloads = 4;  // at once
  std::uint64_t archive_bytes_max = std::uint64_t{256}
                                    << 30;  // that an archive may unpack to, or the web send
  // What is brought ("layer 0123456789ab"), its bytes that are here, of all (0: nobody knows); from any
  // thread, one at a time; also while the layers are read.
  std::function<void(const std::string& what, std::uint64_t done, std::uint64_t total)> progress;
};

struct Image {
  std::string manifest_digest;  // of the architecture's own manifest; of the config for a docker-archive
  ImageConfig config;
  std::string config_json;
  std::vector<squashfs::Layer> layers;  // from the bottom up; they read `files`
  std::vector<UniqueFd> files;
  std::uint64_t bytes = 0;  // of the layers as they lie
  // Where not empty: brings what of the layers is still to come, says whether they are those of their
  // digests, and keeps them in the cache. To be called once, while they are read; until it has said so
  // nothing made of them may be believed. Reading waits for what it brings.
  std::function<Result<>()> check;
  // With `check`, any thread: nobody wants the layers any more. It brings no more then, and its error is
  // kCancelled; what has come stays in the cache to be gone on with.
  std::function<void()> give_up;
  // After `check`: whether a layer came anew from its start meanwhile. What was made of it is worth nothing
  // then, and so is the error that it gave; the layers can be read again.
  std::function<bool()> read_too_early;
};

// docker://, oci:, oci-archive:, docker-archive:. Registry blobs come while Image::check runs, in a thread
// beside who reads them, and are checked by it; those of archives are checked while they are read, by
// Layer::open's source. `cache` is borrowed by the image.
Result<Image> OpenImage(const Reference& reference, BlobCache& cache, const SourceOptions& options);

// oras:// and http(s)://: a SIF as it is, in a file of the cache. kInvalidArgument when it is none. Without a
// digest that says what it must be (http), nothing is cached.
Result<UniqueFd> FetchSif(const Reference& reference, BlobCache& cache, const SourceOptions& options);

// What a docker:// or oras:// reference means now, for a cache's key: asks the registry once, briefly.
Result<std::string> ResolveDigest(const Reference& reference, const SourceOptions& options);

}  // namespace slipway::oci
