// SPDX-License-Identifier: Apache-2.0
// Tars come in GNU's, POSIX's and old forms, compressed in five ways; libarchive reads them all. TarStream is
// its reader over bytes that arrive in pieces: from a file, a part of one, a pipe, or the network. Hostile
// input gives an error.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/os/fd.h"
#include "base/result/result.h"
#include "imagestore/squashfs/image_writer.h"
#include "imagestore/squashfs/layer_merge.h"

namespace slipway::squashfs {

class ByteSource {
 public:
  virtual ~ByteSource() = default;
  // At most `buffer.size()` bytes; 0 at the end.
  virtual Result<std::size_t> Read(std::span<char> buffer) = 0;
};
// A part of a regular file, by pread: several may read one descriptor (borrowed).
std::unique_ptr<ByteSource> FilePart(int fd, std::uint64_t offset, std::uint64_t size);
// A pipe or socket, from where it stands (borrowed).
std::unique_ptr<ByteSource> PipeBytes(int fd);

class TarStream {
 public:
  static Result<TarStream> Open(std::unique_ptr<ByteSource> source);
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
  // The data of the entry that Next gave; 0 at its end. Need not be called.
  Result<std::size_t> Read(std::span<char> buffer);
  // The rest of the source, unread: a source that checks a digest has seen all of it then.
  Result<> Drain();
  bool is_compressed() const;

 private:
  struct State;
  explicit TarStream(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace slipway::squashfs
