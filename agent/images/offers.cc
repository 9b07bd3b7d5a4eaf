// SPDX-License-Identifier: Apache-2.0
#include "agent/images/offers.h"

#include <grpcpp/grpcpp.h>

#include "api/chunk_reader.h"
#include "api/status.h"
#include "api/tls.h"
#include "slipway/v1/image.grpc.pb.h"

namespace slipway {

void ImageOffers::Put(const std::string& digest, ImageOffer offer) {
  std::lock_guard lock(mutex_);
  offers_[digest] = std::move(offer);
}

void ImageOffers::Remove(const std::string& digest) {
  std::lock_guard lock(mutex_);
  offers_.erase(digest);
}

std::optional<ImageOffer> ImageOffers::Find(const std::string& digest) const {
  std::lock_guard lock(mutex_);
  auto at = offers_.find(digest);
  return at == offers_.end() ? std::nullopt : std::optional(at->second);
}

bool ImageOffers::Begin() {
  std::lock_guard lock(mutex_);
  if (givings_ >= givings_max_) return false;
  ++givings_;
  return true;
}

void ImageOffers::End() {
  std::lock_guard lock(mutex_);
  --givings_;
}

namespace {

// A thread of gRPC's for each call while it lasts: `givings_max` at most give, and the others end at once.
class ImagePeerService final : public v1::ImagePeer::Service {
 public:
  explicit ImagePeerService(std::shared_ptr<ImageOffers> offers) : offers_(std::move(offers)) {}

  grpc::Status Have(grpc::ServerContext* call, const v1::HaveRequest* request,
                    v1::HaveReply* reply) override {
    auto offer = OfferFor(*call, request->digest(), request->chunk_bytes());
    if (!offer) return ToStatus(offer.error());
    reply->set_whole(offer->partial == nullptr);
    if (offer->partial) reply->set_chunks(offer->partial->Bits());
    return grpc::Status::OK;
  }

  grpc::Status Fetch(grpc::ServerContext* call, const v1::FetchRequest* request,
                     grpc::ServerWriter<v1::FetchChunk>* writer) override {
    auto reader = Reader(*call, *request);
    if (!reader) return ToStatus(reader.error());
    if (!offers_->Begin())
      return {grpc::StatusCode::RESOURCE_EXHAUSTED, "this node gives images to many already"};
    grpc::Status end = Give(*reader, *writer);
    offers_->End();
    return end;
  }

 private:
  static grpc::Status Give(ChunkReader& reader, grpc::ServerWriter<v1::FetchChunk>& writer) {
    for (v1::FetchChunk piece;;) {
      auto more = reader.Next(piece);
      if (!more) return ToStatus(more.error());
      if (!*more) return grpc::Status::OK;
      if (!writer.Write(piece)) return grpc::Status::CANCELLED;
    }
  }
  Result<ChunkReader> Reader(const grpc::ServerContext& call, const v1::FetchRequest& request) const {
    ImageOffer offer = TRY(OfferFor(call, request.digest(), request.chunk_bytes()));
    // "To the end" is for the whole only.
    if (offer.partial &&
        (request.chunk_count() == 0 || !offer.partial->Has(request.first_chunk(), request.chunk_count())))
      return Fail(Code::kNotFound, "this node has not (all of) these chunks yet");
    return ChunkReader::Of({offer.file, request.chunk_bytes()}, request);
  }
  Result<ImageOffer> OfferFor(const grpc::ServerContext& call, const std::string& digest,
                              std::uint32_t chunk_bytes) const {
    TRY(PeerNode(*call.auth_context()));
    if (chunk_bytes < kChunkBytesMin || chunk_bytes > kChunkBytesMax)
      return Fail(Code::kInvalidArgument, "chunks of ", chunk_bytes, " bytes");
    auto offer = offers_->Find(digest);
    if (!offer) return Fail(Code::kNotFound, "this node has no image ", digest.substr(0, 80));
    if (offer->partial && offer->partial->manifest().chunk_bytes != chunk_bytes)
      return Fail(Code::kNotFound, "this node fetches the image in other chunks");
    return std::move(*offer);
  }
  std::shared_ptr<ImageOffers> offers_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeImagePeerService(std::shared_ptr<ImageOffers> offers) {
  return std::make_unique<ImagePeerService>(std::move(offers));
}

}  // namespace slipway
