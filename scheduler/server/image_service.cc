// SPDX-License-Identifier: Apache-2.0
#include "api/status.h"
#include "base/crypto/crypto.h"
#include "base/os/fd.h"
#include "base/text/units.h"
#include "scheduler/server/answer.h"
#include "scheduler/server/auth.h"
#include "scheduler/server/chunk_sender.h"
#include "scheduler/server/head.h"
#include "scheduler/server/image_convert.h"
#include "scheduler/server/image_desk.h"
#include "scheduler/server/image_sources.h"
#include "scheduler/server/services.h"
#include "slipway/v1/image.grpc.pb.h"

namespace slipway::scheduler {
namespace {

void ToProto(const ImageDesk::Imported& in, v1::UploadReply* out) {
  out->set_digest(in.digest);
  out->set_source_digest(in.source_digest);
  out->set_bytes(in.bytes);
  out->set_existed(in.existed);
}

// Chunks are written and hashed by the worker, one at a time: the next is read when the last is on the disk.
class UploadStream final : public grpc::ServerReadReactor<v1::UploadChunk> {
 public:
  UploadStream(ServiceContext& context, Result<Requester> by, v1::UploadReply* reply)
      : context_(context), reply_(reply) {
    if (by) by_ = *by;
    by ? StartRead(&in_) : Finish(ToStatus(by.error()));
  }
  void OnReadDone(bool ok) override {
    context_.images.worker().Post([this, ok] {
      auto more = ok ? Take() : Complete();
      if (!more) return Finish(ToStatus(more.error()));
      if (*more) StartRead(&in_);
    });
  }
  void OnDone() override { delete this; }

 private:
  Result<bool> Take() {
    if (!file_) {
      if (!IsDigest(in_.source_digest()))
        return Fail(Code::kInvalidArgument, "upload: the first message needs source_digest");
      std::uint64_t bytes_max = context_.images.options().upload_bytes_max;
      if (in_.source_bytes() > bytes_max)
        return Fail(Code::kResourceExhausted, "upload: ", FormatBytes(in_.source_bytes()),
                    " is more than this cluster takes (", FormatBytes(bytes_max), ")");
      source_digest_ = in_.source_digest();
      bytes_left_ = in_.source_bytes();
      as_is_ = in_.as_is();
      if (!in_.again() && !as_is_) {
        if (auto known = context_.images.Find(source_digest_, by_)) {
          ToProto(*known, reply_);
          Finish(grpc::Status::OK);
          return false;
        }
      }
      TRY(context_.images.CheckQuota(by_));
      file_ = TRY_CONTEXT(context_.images.NewSpoolFile(), "upload");
    }
    if (in_.data().size() > bytes_left_)
      return Fail(Code::kInvalidArgument, "upload: more bytes than source_bytes said");
    bytes_left_ -= in_.data().size();
    hash_.Update(in_.data());
    TRY_CONTEXT(WriteAll(file_.get(), in_.data()), "upload: keeping it on the controller");
    return true;
  }
  Result<bool> Complete() {
    if (!file_) return Fail(Code::kInvalidArgument, "upload: nothing came");
    if (bytes_left_ != 0) return Fail(Code::kDataLoss, "upload: it ended ", bytes_left_, " bytes too early");
    std::string digest = hash_.Finish();
    if (digest != source_digest_)
      return Fail(Code::kDataLoss, "upload: what came is ", digest, ", not ", source_digest_);
    // The importer takes only what nobody can write any more.
    auto readable = std::make_shared<UniqueFd>(TRY_CONTEXT(ReopenReadOnly(file_.get()), "upload"));
    file_.reset();
    context_.loop.Post([this, readable] {
      context_.images.Import(std::move(*readable), source_digest_, as_is_, by_,
                             [this](Result<ImageDesk::Imported> imported) {
                               if (!imported)
                                 return Finish(ToStatus(std::move(imported).error().Context("import")));
                               ToProto(*imported, reply_);
                               Finish(grpc::Status::OK);
                             });
    });
    return false;
  }
  ServiceContext& context_;
  v1::UploadReply* reply_;
  Requester by_;
  v1::UploadChunk in_;
  UniqueFd file_;
  Sha256 hash_;
  std::string source_digest_;
  std::uint64_t bytes_left_ = 0;
  bool as_is_ = false;
};

class ImageService final : public v1::Images::CallbackService {
 public:
  explicit ImageService(ServiceContext& context) : context_(context) {}

  grpc::ServerReadReactor<v1::UploadChunk>* Upload(grpc::CallbackServerContext* call,
                                                   v1::UploadReply* reply) override {
    return new UploadStream(context_, context_.authenticator.User(*call), reply);
  }
  grpc::ServerUnaryReactor* Find(grpc::CallbackServerContext* call, const v1::FindImageRequest* request,
                                 v1::UploadReply* reply) override {
    return AnswerUser(context_, call, [&](const Requester& by) -> Result<> {
      ToProto(TRY(context_.images.Find(request->source_digest(), by)), reply);
      return {};
    });
  }
  grpc::ServerUnaryReactor* Add(grpc::CallbackServerContext* call, const v1::AddImageRequest* request,
                                v1::Image* reply) override {
    return AnswerUser(context_, call, [&](const Requester& by) -> Result<> {
      Audience audience = TRY(AudienceOf(request->visibility()));
      ToProto(TRY(context_.images.Add(request->name(), request->digest(), audience.visibility, audience.group,
                                      by)),
              reply);
      return {};
    });
  }
  grpc::ServerUnaryReactor* List(grpc::CallbackServerContext* call, const v1::ListImagesRequest*,
                                 v1::ListImagesReply* reply) override {
    return AnswerUser(context_, call, [&](const Requester& by) -> Result<> {
      for (const ImageDesk::Seen& seen : TRY(context_.images.List(by))) ToProto(seen, reply->add_images());
      return {};
    });
  }
  grpc::ServerUnaryReactor* Resolve(grpc::CallbackServerContext* call, const v1::ResolveImageRequest* request,
                                    v1::Image* reply) override {
    return AnswerUser(context_, call, [&](const Requester& by) -> Result<> {
      ToProto(TRY(context_.images.Show(request->reference(), by)), reply);
      return {};
    });
  }
  // Whether a job needs the bytes, only the owner thread knows.
  grpc::ServerUnaryReactor* Remove(grpc::CallbackServerContext* call, const v1::RemoveImageRequest* request,
                                   v1::RemoveImageReply*) override {
    auto* reactor = call->DefaultReactor();
    auto by = context_.authenticator.User(*call);
    if (!by) {
      reactor->Finish(ToStatus(by.error()));
      return reactor;
    }
    context_.loop.Post([this, reactor, request, by = *by] {
      auto removed = context_.images.Remove(
          request->name(), by, [this](const std::string& digest) { return context_.head.UsesImage(digest); });
      reactor->Finish(removed ? grpc::Status::OK : ToStatus(removed.error()));
    });
    return reactor;
  }

 private:
  ServiceContext& context_;
};

class ImageSourceService final : public v1::ImageSource::CallbackService {
 public:
  explicit ImageSourceService(ServiceContext& context) : context_(context) {}

  grpc::ServerUnaryReactor* Manifest(grpc::CallbackServerContext* call,
                                     const v1::ImageManifestRequest* request,
                                     v1::ImageManifest* reply) override {
    auto* reactor = call->DefaultReactor();
    auto node = context_.authenticator.Node(*call);
    if (!node) {
      reactor->Finish(ToStatus(node.error()));
      return reactor;
    }
    context_.images.worker().Post([this, reactor, request, reply] {
      auto manifest = context_.images.Manifest(request->digest());
      if (!manifest) return reactor->Finish(ToStatus(manifest.error()));
      reply->set_digest(request->digest());
      reply->set_bytes((*manifest)->size);
      reply->set_chunk_bytes(static_cast<std::uint32_t>((*manifest)->chunk_bytes));
      for (const std::string& digest : (*manifest)->digests) reply->add_chunk_digests(digest);
      reactor->Finish(grpc::Status::OK);
    });
    return reactor;
  }
  grpc::ServerWriteReactor<v1::FetchChunk>* Fetch(grpc::CallbackServerContext* call,
                                                  const v1::FetchRequest* request) override {
    auto file = [&]() -> Result<ChunkFile> {
      TRY(context_.authenticator.Node(*call));
      return ChunkFile{std::make_shared<UniqueFd>(TRY(context_.images.OpenBlob(request->digest()))),
                       static_cast<std::uint32_t>(store::kChunkBytes)};
    }();
    return SendChunks(std::move(file), *request);
  }
  grpc::ServerUnaryReactor* Sources(grpc::CallbackServerContext* call, const v1::SourcesRequest* request,
                                    v1::SourcesReply* reply) override {
    auto* reactor = call->DefaultReactor();
    auto node = context_.authenticator.Node(*call);
    if (!node || !IsDigest(request->digest())) {
      reactor->Finish(node ? ToStatus({Code::kInvalidArgument, 0, "not a digest"}) : ToStatus(node.error()));
      return reactor;
    }
    context_.loop.Post([this, reactor, request, reply, node = *node] {
      WhomToAsk answer = sources_.For(request->digest(), node, context_.head.state(), context_.loop.Now());
      reply->set_askers(answer.askers);
      reply->set_place(answer.place);
      for (const ImageHolder& holder : answer.holders) {
        reply->add_holders()->set_node(holder.node);
        reply->mutable_holders(reply->holders_size() - 1)->set_address(holder.address);
      }
      reactor->Finish(grpc::Status::OK);
    });
    return reactor;
  }

 private:
  ServiceContext& context_;
  ImageSources sources_;  // loop's thread
};

}  // namespace

std::unique_ptr<grpc::Service> MakeImageService(ServiceContext& context) {
  return std::make_unique<ImageService>(context);
}
std::unique_ptr<grpc::Service> MakeImageSourceService(ServiceContext& context) {
  return std::make_unique<ImageSourceService>(context);
}

}  // namespace slipway::scheduler
