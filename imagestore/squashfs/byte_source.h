// SPDX-License-Identifier: Apache-2.0
// Layers come from files, are digested, and inflated, and each of these takes about as long as unpacking
// their tar. ByteSource is one such step; Pieces hands its bytes over without copying them, either made in
// the caller's thread or ahead of him in another one, so that steps run side by side.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "base/result/result.h"

namespace slipway::squashfs {

class ByteSource {
 public:
  virtual ~ByteSource() = default;
  // At most `buffer.size()` bytes; 0 at the end, as often as somebody asks.
  virtual Result<std::size_t> Read(std::span<char> buffer) = 0;
  // Leaves out up to so many bytes; how many it did: 0 where they have to be read.
  virtual std::uint64_t Skip(std::uint64_t /*bytes*/) { return 0; }
  // Any thread: nobody wants the rest. A Read that waits for bytes still to come ends, with whatever error.
  virtual void Stop() {}
};
// A part of a regular file, by pread: several may read one descriptor (borrowed).
std::unique_ptr<ByteSource> FilePart(int fd, std::uint64_t offset, std::uint64_t size);

class Pieces {
 public:
  virtual ~Pieces() = default;
  // Valid until the next call; empty at the end. End and error are answered as often as somebody asks.
  virtual Result<std::span<const char>> Next() = 0;
  virtual std::uint64_t Skip(std::uint64_t /*bytes*/) { return 0; }  // as ByteSource's
  virtual void Stop() {}                                             // as ByteSource's
};
// Read when they are asked for.
std::unique_ptr<Pieces> PiecesOf(std::unique_ptr<ByteSource> source);
// Read by a thread of their own, at most 2 MiB ahead. The destructor stops the source and waits for its Read.
Result<std::unique_ptr<Pieces>> PiecesAhead(std::unique_ptr<ByteSource> source);

}  // namespace slipway::squashfs
