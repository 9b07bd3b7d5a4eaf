// SPDX-License-Identifier: Apache-2.0
#include "agent/images/offers.h"

#include <grpcpp/grpcpp.h>

#include "api/chunk_sender.h"
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

class ImagePeerService final : public v1::ImagePeer::CallbackService {
 public:
  explicit ImagePeerService(std::shared_ptr<ImageOffers> offers) : offers_(std::move(offers)) {}

  grpc::ServerUnaryReactor* Have(grpc::CallbackServerContext* call, const v1::HaveRequest* request,
                                 v1::HaveReply* reply) override {
    auto* reactor = call->DefaultReactor();
    auto offer = OfferFor(*call, request->digest(), request->chunk_bytes());
    if (offer) {
      reply->set_whole(offer->partial == nullptr);
      if (offer->partial) reply->set_chunks(offer->partial->Bits());
    }
    reactor->Finish(offer ? grpc::Status::OK : ToStatus(offer.error()));
    return reactor;
  }

  grpc::ServerWriteReactor<v1::FetchChunk>* Fetch(grpc::CallbackServerContext* call,
                                                  const v1::FetchRequest* request) override {
    auto file = [&]() -> Result<ChunkFile> {
      ImageOffer offer = TRY(OfferFor(*call, request->digest(), request->chunk_bytes()));
      // "To the end" is for the whole only.
      if (offer.partial && (request->chunk_count() == 0 ||
                            !offer.partial->Has(request->first_chunk(), request->chunk_count())))
        return Fail(Code::kNotFound, "this node has not (all of) these chunks yet");
      return ChunkFile{offer.file, request->chunk_bytes()};
    }();
    if (!file) return SendChunks(std::move(file), *request);
    if (!offers_->Begin())
      return SendChunks(Fail(Code::kResourceExhausted, "this node gives images to many already"), *request);
    return SendChunks(std::move(file), *request, [offers = offers_] { offers->End(); });
  }

 private:
  Result<ImageOffer> OfferFor(const grpc::CallbackServerContext& call, const std::string& digest,
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
