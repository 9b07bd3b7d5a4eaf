// SPDX-License-Identifier: Apache-2.0
// Reads a stretch of an image for a node that fetches it: the controller and every agent that has the image
// do this the same way. It touches nothing but the file, so that a thousand fetches do not pass through
// anybody's owner thread.
#pragma once

#include <memory>

#include "base/os/fd.h"
#include "slipway/v1/image.pb.h"

namespace slipway {

// A manifest beyond these is refused by whoever reads it.
inline constexpr std::uint32_t kChunkBytesMin = 4096, kChunkBytesMax = 64 << 20;

struct ChunkFile {
  std::shared_ptr<const UniqueFd> file;
  std::uint32_t chunk_bytes = 0;  // within the limits above
};

// Of one fetch; owned by whoever answers it.
class ChunkReader {
 public:
  // kFailedPrecondition: other chunks than the file's are asked for.
  static Result<ChunkReader> Of(ChunkFile from, const v1::FetchRequest& request);
  // The next piece, at most 1 MiB and within one chunk. False: there is no more, because all that was asked
  // for was read or the file has ended. Blocks for the disk.
  Result<bool> Next(v1::FetchChunk& piece);

 private:
  ChunkReader(ChunkFile from, std::uint64_t offset, std::uint64_t end)
      : from_(std::move(from)), offset_(offset), end_(end) {}
  ChunkFile from_;
  std::uint64_t offset_, end_;
};

}  // namespace slipway
