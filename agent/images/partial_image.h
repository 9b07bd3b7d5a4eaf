// SPDX-License-Identifier: Apache-2.0
// An image on its way in: a file that has a name, so that whoever comes after a killed agent goes on with
// what has come. Which chunks those are is not written down anywhere: they are the ones whose bytes have the
// manifest's digests.
//
// Any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/os/fd.h"
#include "imagestore/store/blob_store.h"

namespace slipway {

class PartialImage {
 public:
  // `path`: made (0600) where missing; what is there is compared with the manifest. kResourceExhausted: the
  // disk has no room for the whole, which is said now and not after gigabytes have come.
  static Result<std::shared_ptr<PartialImage>> Open(const std::string& path, store::ChunkManifest manifest);

  const store::ChunkManifest& manifest() const { return manifest_; }
  std::uint32_t chunks() const { return static_cast<std::uint32_t>(manifest_.digests.size()); }
  std::uint64_t BytesOf(std::uint32_t chunk) const;

  // kDataLoss: these are not that chunk's bytes. Else an error of the disk.
  Result<> Put(std::uint32_t chunk, std::string_view bytes);
  bool Has(std::uint32_t first, std::uint32_t count) const;  // all of them; false beyond the last
  std::string Bits() const;                                  // as HaveReply.chunks of image.proto
  bool Whole() const;

  // Read-only, for giving chunks to others; open for as long as anybody holds it.
  std::shared_ptr<const UniqueFd> file() const { return reader_; }
  // Nothing more will be put: our way to write the file is closed.
  void Seal();

 private:
  PartialImage(std::string path, store::ChunkManifest manifest)
      : path_(std::move(path)), manifest_(std::move(manifest)) {}
  Result<> Reserve();
  Result<> FindWhatIsThere();

  const std::string path_;
  const store::ChunkManifest manifest_;
  std::shared_ptr<const UniqueFd> reader_;
  mutable std::mutex mutex_;  // guards what follows
  UniqueFd writer_;
  std::vector<bool> here_;
  std::uint32_t count_ = 0;
};

}  // namespace slipway
