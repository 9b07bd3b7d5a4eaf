// SPDX-License-Identifier: Apache-2.0
// Tars come in GNU's, POSIX's and old forms, compressed in five ways; libarchive reads them all. TarStream is
// its reader over bytes that arrive in pieces. Hostile input gives an error.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result/result.h"
#include "imagestore/squashfs/byte_source.h"
#include "imagestore/squashfs/image_writer.h"
#include "imagestore/squashfs/layer_merge.h"

namespace slipway::squashfs {

class TarStream {
 public:
  enum class Reading {
    kHere,   // by the caller's thread, and no data that he does not ask for: for a look at the headers
    kAhead,  // source and gunzip in threads of their own, which end with the TarStream
  };
  static Result<TarStream> Open(std::unique_ptr<ByteSource> source, Reading reading);
  TarStream(TarStream&&) noexcept;
  ~TarStream();

  struct Entry {
    LayerEntry entry;
    std::vector<Xattr> xattrs;
    std::uint64_t size = 0;         // bytes of a regular file
    std::uint64_t data_offset = 0;  // where they begin in the uncompressed tar
  };
  // Empty at the end.
  Result<std::optional<Entry>> Next();
  // More data of the entry that Next gave, valid until the next call of anything; empty at its end. Need not
  // be called. Holes of a sparse file come as zeros.
  Result<std::span<const char>> Read();
  // The rest of the source, unread: a source that checks a digest has seen all of it then.
  Result<> Drain();
  bool is_compressed() const;

 private:
  struct State;
  explicit TarStream(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace slipway::squashfs
