// SPDX-License-Identifier: Apache-2.0
// Labels, the runscript or the shell of an image are wanted without mounting it. Reader looks into a squashfs
// through libsquashfs, in the caller's own process and with the caller's own rights; every size is bounded by
// the caller. One thread at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result/result.h"
#include "imagestore/squashfs/pack.h"

namespace slipway::squashfs {

enum class Kind { kFile, kDirectory, kSymlink, kDevice, kOther };

struct Stat {
  Kind kind = Kind::kOther;
  std::uint32_t mode = 0;  // permission bits, set-id and sticky included
  std::uint64_t size = 0;  // bytes of a file
  std::string target;      // of a symlink
};

struct SuperBlock {
  std::string compressor;  // "zstd"
  std::uint64_t bytes_used = 0;
  std::uint32_t block_size = 0, inodes = 0;
  std::int64_t created = 0;
};

class Reader {
 public:
  static Result<Reader> Open(const Window& window);
  Reader(Reader&&) noexcept;
  Reader& operator=(Reader&&) noexcept;
  ~Reader();

  const SuperBlock& super() const;
  // Paths are taken from the image's root; symlinks are followed inside it (at most 40). kNotFound when there
  // is none.
  Result<Stat> Find(const std::string& path, bool follow_last = true) const;
  Result<std::string> ReadFile(const std::string& path, std::size_t bytes_max) const;
  // The first `bytes_max` bytes at most of a longer file.
  Result<std::string> ReadHead(const std::string& path, std::size_t bytes_max) const;
  Result<std::vector<std::string>> List(const std::string& path, std::size_t entries_max) const;
  // Everything below the root, a directory before what is in it, by name: "usr/bin/sh". An error of `visit`
  // ends the walk and is returned.
  using Visit = std::function<Result<>(const std::string& path, Kind kind)>;
  Result<> Walk(const Limits& limits, const Visit& visit) const;

 private:
  struct State;
  explicit Reader(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Everything below the root, written into the empty directory `dir_fd` (borrowed). Owners are kept when we
// may (effective uid 0); devices, set-id bits and capabilities by the policy. Symlinks are written, never
// followed.
Result<PackSummary> Unpack(const Window& in, int dir_fd, const PackOptions& options = {});

}  // namespace slipway::squashfs
