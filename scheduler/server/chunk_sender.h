// SPDX-License-Identifier: Apache-2.0
// Sends a stretch of an image (api/chunk_reader.h) from gRPC's threads.
//
// Include only where gRPC's headers are needed anyway (.cc files).
#pragma once

#include <grpcpp/grpcpp.h>

#include "api/chunk_reader.h"

namespace slipway::scheduler {

// For a Fetch method to return; gRPC owns it. Chunks beyond the end of the file are not sent and no error.
grpc::ServerWriteReactor<v1::FetchChunk>* SendChunks(Result<ChunkFile> from, const v1::FetchRequest& request);

}  // namespace slipway::scheduler
