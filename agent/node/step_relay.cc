// SPDX-License-Identifier: Apache-2.0
#include "agent/node/step_relay.h"

#include <grpcpp/grpcpp.h>
#include <sys/stat.h>

#include <atomic>
#include <mutex>

#include "api/channel.h"
#include "api/status.h"
#include "api/tls.h"
#include "api/token.h"
#include "slipway/v1/job.grpc.pb.h"

namespace slipway {
namespace {

const grpc::Status kTooMany(grpc::StatusCode::UNAVAILABLE,
                            "too many steps are attached on this node at once");

struct Limit {
  explicit Limit(int calls_max) : calls_max(calls_max) {}
  int calls_max;
  std::atomic<int> used{0};
};
// One call's part of it.
class Place {
 public:
  explicit Place(std::shared_ptr<Limit> limit)
      : limit_(std::move(limit)), taken_(++limit_->used <= limit_->calls_max) {}
  ~Place() { --limit_->used; }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  bool taken() const { return taken_; }

 private:
  std::shared_ptr<Limit> limit_;
  bool taken_;
};

void PassOnToken(const grpc::CallbackServerContext& from, grpc::ClientContext& to) {
  auto token = from.client_metadata().find(kAuthorizationKey);
  if (token != from.client_metadata().end())
    to.AddMetadata(kAuthorizationKey, std::string(token->second.data(), token->second.size()));
}

// The two halves of an attached command. Each direction has one message under way: it is read, written, and
// then the next is read, so whoever is slow slows the other.
//
// gRPC's rules: nothing may be begun on a half that has ended. The controller's half stays alive, by a hold,
// until a read from it has failed (`over_`), and the command's half until we finish it, which only the end of
// the controller's half does.
class Attached final : public std::enable_shared_from_this<Attached> {
 public:
  static grpc::ServerBidiReactor<v1::AttachInput, v1::AttachOutput>* Start(
      v1::Jobs::Stub& jobs, const grpc::CallbackServerContext& call, const std::shared_ptr<Limit>& limit) {
    auto attached = std::make_shared<Attached>(limit);
    attached->command_.self = attached->controller_.self = attached;
    auto* reactor = &attached->command_;
    if (!attached->place_.taken()) {
      attached->controller_.self.reset();
      reactor->Finish(kTooMany);
    } else {
      attached->Begin(jobs, call);
    }
    return reactor;
  }
  explicit Attached(std::shared_ptr<Limit> limit)
      : place_(std::move(limit)), command_(*this), controller_(*this) {}

 private:
  struct Command final : grpc::ServerBidiReactor<v1::AttachInput, v1::AttachOutput> {
    explicit Command(Attached& both) : both(both) {}
    void OnReadDone(bool ok) override { both.OnInput(ok); }
    void OnWriteDone(bool ok) override { both.OnOutputPassed(ok); }
    void OnCancel() override { both.context_.TryCancel(); }
    void OnDone() override { auto last = std::move(self); }
    Attached& both;
    std::shared_ptr<Attached> self;
  };
  struct Controller final : grpc::ClientBidiReactor<v1::AttachInput, v1::AttachOutput> {
    explicit Controller(Attached& both) : both(both) {}
    void OnReadDone(bool ok) override { both.OnOutput(ok); }
    void OnWriteDone(bool ok) override { both.OnInputPassed(ok); }
    void OnDone(const grpc::Status& status) override { both.OnControllerDone(status); }
    Attached& both;
    std::shared_ptr<Attached> self;
  };

  void Begin(v1::Jobs::Stub& jobs, const grpc::CallbackServerContext& call) {
    PassOnToken(call, context_);
    jobs.async()->Attach(&context_, &controller_);
    controller_.AddHold();
    controller_.StartRead(&output_);
    controller_.StartCall();
    command_.StartRead(&input_);
  }
  void OnInput(bool ok) {
    std::lock_guard lock(mutex_);
    if (over_) return;
    if (ok) {
      controller_.StartWrite(&input_);
    } else {
      controller_.StartWritesDone();
    }
  }
  void OnInputPassed(bool ok) {
    std::lock_guard lock(mutex_);
    if (ok && !finished_) command_.StartRead(&input_);
  }
  void OnOutput(bool ok) {
    if (ok) return command_.StartWrite(&output_);
    {
      std::lock_guard lock(mutex_);
      over_ = true;
    }
    controller_.RemoveHold();
  }
  // Also when the command has gone: the read that fails then is what ends the other half.
  void OnOutputPassed(bool ok) {
    if (!ok) context_.TryCancel();
    controller_.StartRead(&output_);
  }
  void OnControllerDone(const grpc::Status& status) {
    auto last = std::move(controller_.self);
    std::lock_guard lock(mutex_);
    finished_ = true;
    command_.Finish(status);
  }

  Place place_;
  grpc::ClientContext context_;
  v1::AttachInput input_;
  v1::AttachOutput output_;
  std::mutex mutex_;
  bool over_ = false, finished_ = false;  // guarded by mutex_
  Command command_;
  Controller controller_;
};

class Service final : public v1::Jobs::CallbackService {
 public:
  Service(std::shared_ptr<grpc::Channel> controller, int calls_max)
      : jobs_(std::move(controller)), limit_(std::make_shared<Limit>(calls_max)) {}

  grpc::ServerUnaryReactor* CreateStep(grpc::CallbackServerContext* call,
                                       const v1::CreateStepRequest* request,
                                       v1::CreateStepReply* reply) override {
    return PassOn(call, [&](grpc::ClientContext* context, auto done) {
      jobs_.async()->CreateStep(context, request, reply, done);
    });
  }
  grpc::ServerUnaryReactor* Cancel(grpc::CallbackServerContext* call, const v1::CancelRequest* request,
                                   v1::CancelReply* reply) override {
    return PassOn(call, [&](grpc::ClientContext* context, auto done) {
      jobs_.async()->Cancel(context, request, reply, done);
    });
  }
  grpc::ServerBidiReactor<v1::AttachInput, v1::AttachOutput>* Attach(
      grpc::CallbackServerContext* call) override {
    return Attached::Start(jobs_, *call, limit_);
  }

 private:
  struct Passed {
    explicit Passed(std::shared_ptr<Limit> limit) : place(std::move(limit)) {}
    Place place;
    grpc::ClientContext context;
  };
  template <class Start>
  grpc::ServerUnaryReactor* PassOn(grpc::CallbackServerContext* call, Start start) {
    auto* reactor = call->DefaultReactor();
    auto passed = std::make_shared<Passed>(limit_);
    if (!passed->place.taken()) {
      reactor->Finish(kTooMany);
      return reactor;
    }
    PassOnToken(*call, passed->context);
    passed->context.set_deadline(call->deadline());
    start(&passed->context, [reactor, passed](const grpc::Status& status) { reactor->Finish(status); });
    return reactor;
  }

  v1::Jobs::Stub jobs_;
  std::shared_ptr<Limit> limit_;  // a call may outlive us by the moment in which it ends
};

}  // namespace

struct StepRelay::Calls {
  std::unique_ptr<Service> service;
  std::unique_ptr<grpc::Server> server;
};

StepRelay::StepRelay(std::unique_ptr<Calls> calls) : calls_(std::move(calls)) {}

Result<std::unique_ptr<StepRelay>> StepRelay::Listen(const std::string& socket,
                                                     std::shared_ptr<grpc::Channel> controller,
                                                     int calls_max) {
  auto calls = std::make_unique<Calls>();
  calls->service = std::make_unique<Service>(std::move(controller), calls_max);
  grpc::ServerBuilder builder;
  builder.SetMaxReceiveMessageSize(kRpcMessageBytesMax);
  builder.AddListeningPort(Cat("unix:", socket), grpc::InsecureServerCredentials());
  builder.RegisterService(calls->service.get());
  calls->server = builder.BuildAndStart();
  if (!calls->server) return Fail(Code::kUnavailable, "cannot listen on ", socket);
  if (::chmod(socket.c_str(), 0666) < 0) return ErrnoFail("chmod", socket);
  return std::unique_ptr<StepRelay>(new StepRelay(std::move(calls)));
}

StepRelay::~StepRelay() {
  calls_->server->Shutdown(std::chrono::system_clock::now());
  calls_->server->Wait();
}

}  // namespace slipway
