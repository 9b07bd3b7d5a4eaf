// SPDX-License-Identifier: Apache-2.0
#include "agent/images/image_calls.h"

#include "api/chunk_reader.h"
#include "api/status.h"

namespace slipway {
namespace {

// The controller may have to read the whole image for its first manifest.
constexpr std::chrono::seconds kManifestPatience{120};

Result<> CheckManifest(const v1::ImageManifest& manifest, const FetchRequirements& wanted) {
  if (manifest.digest() != wanted.digest)
    return Fail(Code::kDataLoss, "the manifest is of ", manifest.digest().substr(0, 80));
  if (manifest.bytes() == 0 || manifest.bytes() > std::uint64_t{1} << 46)
    return Fail(Code::kDataLoss, "the manifest says ", manifest.bytes(), " bytes");
  if (wanted.bytes != 0 && manifest.bytes() != wanted.bytes)
    return Fail(Code::kDataLoss, "the manifest says ", manifest.bytes(), " bytes, announced were ",
                wanted.bytes);
  if (manifest.chunk_bytes() < kChunkBytesMin || manifest.chunk_bytes() > kChunkBytesMax)
    return Fail(Code::kDataLoss, "the manifest says chunks of ", manifest.chunk_bytes(), " bytes");
  std::uint64_t chunks = (manifest.bytes() + manifest.chunk_bytes() - 1) / manifest.chunk_bytes();
  if (static_cast<std::uint64_t>(manifest.chunk_digests_size()) != chunks)
    return Fail(Code::kDataLoss, "the manifest lists ", manifest.chunk_digests_size(), " chunks of ", chunks);
  return {};
}

}  // namespace

CancellableCall::CancellableCall(FetchCancel& cancel, std::chrono::milliseconds patience) : cancel_(cancel) {
  context.set_deadline(std::chrono::system_clock::now() + patience);
  std::lock_guard lock(cancel_.mutex_);
  cancel_.calls_.insert(&context);
  if (cancel_.cancelled_) context.TryCancel();
}

CancellableCall::~CancellableCall() {
  std::lock_guard lock(cancel_.mutex_);
  cancel_.calls_.erase(&context);
}

void FetchCancel::Cancel() {
  std::lock_guard lock(mutex_);
  cancelled_ = true;
  for (grpc::ClientContext* call : calls_) call->TryCancel();
}

Result<store::ChunkManifest> AskManifest(v1::ImageSource::Stub& source, const FetchRequirements& wanted,
                                         FetchCancel& cancel) {
  CancellableCall call(cancel, kManifestPatience);
  v1::ImageManifestRequest request;
  request.set_digest(wanted.digest);
  v1::ImageManifest manifest;
  TRY(ResultOf(source.Manifest(&call.context, request, &manifest)));
  TRY(CheckManifest(manifest, wanted));
  return store::ChunkManifest{manifest.bytes(),
                              manifest.chunk_bytes(),
                              {manifest.chunk_digests().begin(), manifest.chunk_digests().end()}};
}

template <class Stub>
Result<std::string> AskChunk(Stub& source, const ChunkRequest& wanted, std::chrono::milliseconds patience,
                             FetchCancel& cancel) {
  CancellableCall call(cancel, patience);
  v1::FetchRequest request;
  request.set_digest(wanted.digest);
  request.set_first_chunk(wanted.chunk);
  request.set_chunk_count(1);
  request.set_chunk_bytes(wanted.chunk_bytes);
  auto reader = source.Fetch(&call.context, request);
  std::string bytes;
  bytes.reserve(static_cast<std::size_t>(wanted.bytes));
  v1::FetchChunk piece;
  bool in_order = true;
  while (in_order && reader->Read(&piece)) {
    in_order = piece.index() == wanted.chunk && piece.offset() == bytes.size() &&
               piece.data().size() <= wanted.bytes - bytes.size();
    if (in_order) bytes += piece.data();
  }
  if (!in_order) call.context.TryCancel();
  grpc::Status status = reader->Finish();
  if (!in_order)
    return Fail(Code::kDataLoss, "chunk ", wanted.chunk, " came in pieces that do not fit together");
  TRY(ResultOf(status));
  return bytes;
}

template Result<std::string> AskChunk(v1::ImageSource::Stub&, const ChunkRequest&, std::chrono::milliseconds,
                                      FetchCancel&);
template Result<std::string> AskChunk(v1::ImagePeer::Stub&, const ChunkRequest&, std::chrono::milliseconds,
                                      FetchCancel&);

}  // namespace slipway
