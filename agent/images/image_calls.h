// SPDX-License-Identifier: Apache-2.0
// The calls of a fetch: one question to one source, with a deadline, checked as far as one answer can be.
//
// Include only where gRPC's headers are needed anyway (.cc files). Any thread.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

#include "agent/images/image_fetch.h"
#include "imagestore/store/blob_store.h"
#include "slipway/v1/image.grpc.pb.h"

namespace slipway {

// One call that FetchCancel reaches while it lasts.
class CancellableCall {
 public:
  CancellableCall(FetchCancel& cancel, std::chrono::milliseconds patience);
  ~CancellableCall();
  grpc::ClientContext context;

 private:
  FetchCancel& cancel_;
};

// kDataLoss when it cannot be that image's.
Result<store::ChunkManifest> AskManifest(v1::ImageSource::Stub& source, const FetchRequirements& wanted,
                                         FetchCancel& cancel);

// One chunk's bytes, at most `bytes` of them; whether they are the right ones is the caller's to check.
// kDataLoss: pieces that do not fit together.
struct ChunkRequest {
  std::string digest;
  std::uint32_t chunk = 0, chunk_bytes = 0;
  std::uint64_t bytes = 0;
};
template <class Stub>
Result<std::string> AskChunk(Stub& source, const ChunkRequest& wanted, std::chrono::milliseconds patience,
                             FetchCancel& cancel);
extern template Result<std::string> AskChunk(v1::ImageSource::Stub&, const ChunkRequest&,
                                             std::chrono::milliseconds, FetchCancel&);
extern template Result<std::string> AskChunk(v1::ImagePeer::Stub&, const ChunkRequest&,
                                             std::chrono::milliseconds, FetchCancel&);

}  // namespace slipway
