// SPDX-License-Identifier: Apache-2.0
// Images are found by what they are, not by where they came from: a blob is a file named after its SHA-256.
// It is verified on the way in and appears whole or not at all; a crash leaves at most an unnamed or
// temporary file that the next Open clears away. One process owns a store; any thread of it, one call at a
// time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/crypto/crypto.h"
#include "base/os/fd.h"
#include "base/result/result.h"

namespace slipway::store {

inline constexpr std::uint64_t kChunkBytes = 4 << 20;

// What a fetcher needs to verify a blob piece by piece: the digest of each 4 MiB (the last may be shorter).
struct ChunkManifest {
  std::uint64_t size = 0;
  std::uint64_t chunk_bytes = kChunkBytes;
  std::vector<std::string> digests;  // "sha256:…"
};
// By pread, from byte 0. `fd` is borrowed.
Result<ChunkManifest> MakeChunkManifest(int fd);
// kDataLoss with the chunk's number when the bytes are not that chunk; kOutOfRange when there is none of that
// number.
Result<> VerifyChunk(const ChunkManifest& manifest, std::size_t index, std::string_view bytes);

struct Blob {
  std::string digest;
  std::uint64_t size = 0;
  std::int64_t modified = 0;  // milliseconds since 1970: when it was stored; only of List
};

class BlobStore;

// One blob on its way in. Without Finish nothing remains of it.
class Writer {
 public:
  Writer(Writer&&) noexcept;
  Writer& operator=(Writer&&) noexcept;
  ~Writer();

  Result<> Write(std::string_view bytes);
  // For programs that write the file themselves (slipway-import): what they wrote is hashed by Finish.
  int fd() const;  // borrowed; readable and writable
  // Verifies against `expected_digest` (empty: take what came), fsyncs, names it. kDataLoss when they differ.
  // A blob that is there already is no error.
  Result<Blob> Finish(std::string_view expected_digest = {});

 private:
  friend class BlobStore;
  struct State;
  explicit Writer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

class BlobStore {
 public:
  // Makes the directory (0755) when it is missing and removes what a crash left half-written.
  static Result<BlobStore> Open(const std::string& directory);

  Result<Writer> NewBlob() const;
  bool Has(std::string_view digest) const;
  Result<UniqueFd> OpenForReading(std::string_view digest) const;  // kNotFound names the digest
  Result<std::vector<Blob>> List() const;                          // by digest
  Result<> Remove(std::string_view digest) const;                  // kNotFound when it is not there
  // Remove in two halves: at once the digest is gone, and only then, in its own time, the bytes. What a crash
  // leaves between them the next Open clears away. Returns the name for Discard.
  Result<std::string> Retire(std::string_view digest) const;  // kNotFound when it is not there
  Result<> Discard(const std::string& retired) const;
  const std::string& directory() const { return directory_; }

 private:
  BlobStore(std::string directory, std::shared_ptr<UniqueFd> dir)
      : directory_(std::move(directory)), dir_(std::move(dir)) {}
  std::string directory_;
  std::shared_ptr<UniqueFd> dir_;
};

}  // namespace slipway::store
