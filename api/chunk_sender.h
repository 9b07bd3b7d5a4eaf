// SPDX-License-Identifier: Apache-2.0
// Sends a stretch of an image to a node that fetches it: the controller and every agent that has the image do
// this the same way. It touches nothing but the file, so that a thousand fetches do not pass through
// anybody's owner thread.
//
// Include only where gRPC's headers are needed anyway (.cc files).
#pragma once

#include <grpcpp/grpcpp.h>

#include <functional>
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

// For a Fetch method to return; gRPC owns it. Chunks beyond the end of the file are not sent and no error.
// `done` (may be empty) is called once, from one of gRPC's threads, when nothing more is sent; no later than
// the server's end.
grpc::ServerWriteReactor<v1::FetchChunk>* SendChunks(Result<ChunkFile> from, const v1::FetchRequest& request,
                                                     std::function<void()> done = {});

}  // namespace slipway
