// SPDX-License-Identifier: Apache-2.0
// The catalogue for users and admins. What needs to know which images jobs use is asked on the owner thread.
#include <condition_variable>
#include <mutex>

#include "api/status.h"
#include "base/crypto/crypto.h"
#include "scheduler/server/answer.h"
#include "scheduler/server/auth.h"
#include "scheduler/server/clock.h"
#include "scheduler/server/head.h"
#include "scheduler/server/image_convert.h"
#include "scheduler/server/services.h"
#include "scheduler/server/users.h"
#include "slipway/v1/catalogue.grpc.pb.h"

namespace slipway::scheduler {
namespace {

constexpr std::int64_t kUnusedMaxS = 100LL * 365 * 86400;

Result<> AdminsOnly(const Requester& by, const char* what) {
  if (by.admin) return {};
  return Fail(Code::kPermissionDenied, what, " is for administrators (controller.admins)");
}

// Reads in the verifier's thread and waits there for the client, one finding at a time.
class VerifyStream final : public grpc::ServerWriteReactor<v1::VerifyFinding> {
 public:
  VerifyStream(ServiceContext& context, Result<Requester> by, const v1::VerifyRequest& request)
      : context_(context) {
    auto digest = by ? What(*by, request) : Result<std::string>(Failure(by.error()));
    if (!digest) {
      Finish(ToStatus(digest.error()));
      return;
    }
    context_.images.verifier().Post([this, digest = *digest] {
      auto done = context_.images.Verify(
          digest, [this](const store::Finding& finding, std::size_t left) { return Tell(finding, left); });
      Finish(done ? grpc::Status::OK : ToStatus(done.error()));
    });
  }
  void OnWriteDone(bool ok) override {
    std::lock_guard lock(mutex_);
    written_ = true;
    gone_ = gone_ || !ok;
    wake_.notify_one();
  }
  void OnCancel() override {
    std::lock_guard lock(mutex_);
    gone_ = true;
  }
  void OnDone() override { delete this; }

 private:
  // The digest that is to be looked at; empty: all.
  Result<std::string> What(const Requester& by, const v1::VerifyRequest& request) {
    if (request.all()) {
      TRY(AdminsOnly(by, "verify --all"));
      return std::string();
    }
    return TRY(context_.images.Show(request.reference(), by)).record.digest;
  }
  bool Tell(const store::Finding& finding, std::size_t left) {
    out_.Clear();
    ToProto(finding, left, &out_);
    std::unique_lock lock(mutex_);
    if (gone_) return false;
    written_ = false;
    lock.unlock();  // gRPC may call OnWriteDone from within
    StartWrite(&out_);
    lock.lock();
    wake_.wait(lock, [this] { return written_; });
    return !gone_;
  }
  ServiceContext& context_;
  v1::VerifyFinding out_;
  std::mutex mutex_;  // guards the rest
  std::condition_variable wake_;
  bool written_ = false, gone_ = false;
};

class CatalogueService final : public v1::Catalogue::CallbackService {
 public:
  explicit CatalogueService(ServiceContext& context) : context_(context) {}

  grpc::ServerUnaryReactor* Show(grpc::CallbackServerContext* call, const v1::ImageQuery* request,
                                 v1::ImageDetails* reply) override {
    return AnswerUser(context_, call, [&](const Requester& by) -> Result<> {
      ImageDesk::Seen seen = TRY(context_.images.Show(request->reference(), by));
      ToProto(seen, reply->mutable_image());
      for (std::string& name : TRY(context_.images.NamesOf(seen.record.digest, by)))
        reply->add_names(std::move(name));
      if (seen.facts.content) ToProto(*seen.facts.content, reply);
      reply->set_damaged(seen.facts.damaged);
      reply->set_allowed(TRY(context_.images.WhyNotAllowed(seen, request->reference(), by)));
      for (std::uint32_t uid : seen.facts.holders)
        if (by.admin || uid == by.uid) reply->add_holders(NameOfUid(uid));
      return {};
    });
  }
  grpc::ServerUnaryReactor* History(grpc::CallbackServerContext* call, const v1::ImageQuery* request,
                                    v1::ImageHistory* reply) override {
    return AnswerUser(context_, call, [&](const Requester& by) -> Result<> {
      ImageDesk::Past past = TRY(context_.images.History(request->reference(), by));
      reply->set_name(past.name);
      for (std::size_t i = 0; i < past.meanings.size(); ++i) {
        v1::ImageMeaning* told = reply->add_meanings();
        told->set_digest(past.meanings[i].digest);
        told->set_since_ms(past.meanings[i].created);
        told->set_by(NameOfUid(past.meanings[i].by_uid));
        told->set_bytes(past.meanings[i].size);
        told->set_stored(past.stored[i]);
      }
      return {};
    });
  }
  grpc::ServerUnaryReactor* Tag(grpc::CallbackServerContext* call, const v1::TagImageRequest* request,
                                v1::Image* reply) override {
    return AnswerUser(context_, call, [&](const Requester& by) -> Result<> {
      Audience audience = TRY(AudienceOf(request->visibility()));
      ToProto(TRY(context_.images.Add(request->name(), request->reference(), audience.visibility,
                                      audience.group, by)),
              reply);
      return {};
    });
  }
  grpc::ServerUnaryReactor* Untag(grpc::CallbackServerContext* call, const v1::ImageQuery* request,
                                  v1::UntagImageReply*) override {
    return AnswerUser(context_, call,
                      [&](const Requester& by) { return context_.images.Untag(request->reference(), by); });
  }
  grpc::ServerUnaryReactor* Share(grpc::CallbackServerContext* call, const v1::ShareImageRequest* request,
                                  v1::Image* reply) override {
    return AnswerUser(context_, call, [&](const Requester& by) -> Result<> {
      Audience audience = TRY(AudienceOf(request->visibility()));
      ToProto(TRY(context_.images.Share(request->name(), audience.visibility, audience.group, by)), reply);
      return {};
    });
  }
  grpc::ServerUnaryReactor* Usage(grpc::CallbackServerContext* call, const v1::UsageRequest*,
                                  v1::UsageReply* reply) override {
    return AnswerUser(context_, call, [&](const Requester& by) -> Result<> {
      ImageDesk::Usage usage = TRY(context_.images.TellUsage(by.uid));
      reply->set_stored_bytes(usage.bytes);
      reply->set_stored_images(usage.images);
      for (auto& [subject, use] : usage.subjects) {
        if (!by.admin && subject.starts_with("user:") && subject != Cat("user:", by.uid)) continue;
        v1::SubjectUsage* told = reply->add_subjects();
        told->set_subject(SubjectText(subject));
        told->set_bytes(use.bytes);
        told->set_images(use.images);
        told->set_limit_bytes(use.limit);
      }
      return {};
    });
  }
  grpc::ServerUnaryReactor* SetLimit(grpc::CallbackServerContext* call, const v1::SetLimitRequest* request,
                                     v1::SetLimitReply*) override {
    return AnswerUser(context_, call, [&](const Requester& by) -> Result<> {
      TRY(AdminsOnly(by, "a limit"));
      if (request->bytes() > INT64_MAX) return Fail(Code::kInvalidArgument, "a limit is at most 8 EiB");
      return context_.images.SetLimit(TRY(SubjectOf(request->subject())), request->bytes());
    });
  }
  grpc::ServerUnaryReactor* Collect(grpc::CallbackServerContext* call, const v1::CollectRequest* request,
                                    v1::CollectReply* reply) override {
    auto* reactor = call->DefaultReactor();
    auto by = context_.authenticator.User(*call);
    if (!by || request->unused_s() < 0 || request->unused_s() > kUnusedMaxS) {
      reactor->Finish(
          ToStatus(by ? Error{Code::kInvalidArgument, 0, "unused: between 0 and 100 years"} : by.error()));
      return reactor;
    }
    context_.loop.Post([this, reactor, request, reply, by = *by] {
      store::GarbageRule rule{
          .now = NowMs(), .unused = request->unused_s() * 1000, .history = request->history()};
      if (!by.admin) rule.holder = by.uid;
      auto garbage = context_.images.Collect(
          rule, [this](const std::string& digest) { return context_.head.UsesImage(digest); },
          request->run());
      if (!garbage) return reactor->Finish(ToStatus(garbage.error()));
      for (const store::Garbage& one : *garbage) {
        v1::CollectedImage* told = reply->add_images();
        told->set_digest(one.digest);
        told->set_bytes(one.bytes);
        told->set_last_needed_ms(one.last_needed);
        told->set_why(one.why);
      }
      reactor->Finish(grpc::Status::OK);
    });
    return reactor;
  }
  grpc::ServerWriteReactor<v1::VerifyFinding>* Verify(grpc::CallbackServerContext* call,
                                                      const v1::VerifyRequest* request) override {
    return new VerifyStream(context_, context_.authenticator.User(*call), *request);
  }
  grpc::ServerUnaryReactor* ListRules(grpc::CallbackServerContext* call, const v1::ListRulesRequest*,
                                      v1::ListRulesReply* reply) override {
    return AnswerUser(context_, call, [&](const Requester&) -> Result<> {
      for (const store::PolicyRule& rule : TRY(context_.images.Rules())) ToProto(rule, reply->add_rules());
      return {};
    });
  }
  grpc::ServerUnaryReactor* AddRule(grpc::CallbackServerContext* call, const v1::AddRuleRequest* request,
                                    v1::PolicyRule* reply) override {
    return AnswerUser(context_, call, [&](const Requester& by) -> Result<> {
      TRY(AdminsOnly(by, "the execution policy"));
      store::PolicyRule rule = TRY(RuleOf(request->rule()));
      rule.by_uid = by.uid;
      ToProto(TRY(context_.images.AddRule(std::move(rule))), reply);
      return {};
    });
  }
  grpc::ServerUnaryReactor* RemoveRule(grpc::CallbackServerContext* call,
                                       const v1::RemoveRuleRequest* request, v1::RemoveRuleReply*) override {
    return AnswerUser(context_, call, [&](const Requester& by) -> Result<> {
      TRY(AdminsOnly(by, "the execution policy"));
      return context_.images.RemoveRule(request->id());
    });
  }
  grpc::ServerUnaryReactor* ListProjects(grpc::CallbackServerContext* call, const v1::ListProjectsRequest*,
                                         v1::ListProjectsReply* reply) override {
    return AnswerUser(context_, call, [&](const Requester&) -> Result<> {
      for (const store::Project& one : TRY(context_.images.ListProjects()))
        ToProto(one, reply->add_projects());
      return {};
    });
  }
  grpc::ServerUnaryReactor* ChangeProject(grpc::CallbackServerContext* call,
                                          const v1::ChangeProjectRequest* request,
                                          v1::Project* reply) override {
    return AnswerUser(context_, call, [&](const Requester& by) -> Result<> {
      std::string name = TRY(ProjectNameOf(request->name()));
      ToProto(TRY(context_.images.ChangeProject(name, TRY(ChangeOf(*request)), by)), reply);
      return {};
    });
  }
  grpc::ServerUnaryReactor* OpenProject(grpc::CallbackServerContext* call,
                                        const v1::OpenProjectRequest* request,
                                        v1::OpenProjectReply*) override {
    return AnswerUser(context_, call, [&](const Requester& by) -> Result<> {
      TRY(AdminsOnly(by, "to open a project"));
      return context_.images.OpenProject(request->name());
    });
  }

 private:
  ServiceContext& context_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeCatalogueService(ServiceContext& context) {
  return std::make_unique<CatalogueService>(context);
}

}  // namespace slipway::scheduler
