// SPDX-License-Identifier: Apache-2.0
#include <grpcpp/grpcpp.h>

#include <mutex>

#include "agent/node/peers.h"
#include "api/status.h"
#include "slipway/v1/node.grpc.pb.h"

namespace slipway {
namespace {

// Loop's thread reads and writes `stopped`; gRPC's threads only hold the pointer.
struct Receiver {
  Loop& loop;
  PeerServer::Handler handler;
  bool stopped = false;
};

class Incoming final : public grpc::ServerBidiReactor<v1::PeerFrame, v1::PeerFrame> {
 public:
  static Incoming* Start(std::shared_ptr<Receiver> receiver, Result<std::string> sender) {
    auto call = std::shared_ptr<Incoming>(new Incoming(std::move(receiver)));
    call->self_ = call;
    if (!sender) {
      call->FinishOnce(ToStatus(sender.error()));
    } else {
      call->sender_ = std::move(*sender);
      call->StartSendInitialMetadata();  // the caller learns that somebody is here
      call->Next();
    }
    return call.get();
  }

  void OnReadDone(bool ok) override {
    if (!ok) return FinishOnce(grpc::Status::OK);
    // The next one is read when the loop has dealt with this: whoever sends faster waits.
    receiver_->loop.Post([self = self_] {
      if (self->receiver_->stopped)
        return self->FinishOnce({grpc::StatusCode::UNAVAILABLE, "the agent ends"});
      self->Handle();
      self->Next();
    });
  }
  void OnCancel() override { FinishOnce(grpc::Status::CANCELLED); }
  void OnDone() override { auto self = std::move(self_); }

 private:
  explicit Incoming(std::shared_ptr<Receiver> receiver) : receiver_(std::move(receiver)) {}

  void Handle() {
    StepId step{frame_.step().job(), frame_.step().attempt(), frame_.step().step()};
    PeerWord word{sender_, frame_.from_node(), std::move(*frame_.mutable_data()),
                  std::move(*frame_.mutable_gone()), frame_.ends_told()};
    if (frame_.has_from_step()) word.from_step = frame_.from_step();
    receiver_->handler(step, frame_.to_node(), std::move(word));
  }
  void Next() {
    std::lock_guard lock(mutex_);
    if (finished_) return;
    frame_.Clear();
    StartRead(&frame_);
  }
  void FinishOnce(const grpc::Status& status) {
    std::lock_guard lock(mutex_);
    if (std::exchange(finished_, true)) return;
    Finish(status);
  }

  std::shared_ptr<Receiver> receiver_;
  std::string sender_;
  v1::PeerFrame frame_;  // gRPC's while a read is under way, else the loop's
  std::shared_ptr<Incoming> self_;
  std::mutex mutex_;  // guards finished_
  bool finished_ = false;
};

class Service final : public v1::Peer::CallbackService {
 public:
  explicit Service(std::shared_ptr<Receiver> receiver) : receiver_(std::move(receiver)) {}
  grpc::ServerBidiReactor<v1::PeerFrame, v1::PeerFrame>* Exchange(
      grpc::CallbackServerContext* context) override {
    return Incoming::Start(receiver_, PeerNode(*context->auth_context()));
  }

 private:
  std::shared_ptr<Receiver> receiver_;
};

}  // namespace

struct PeerServer::Calls {
  std::shared_ptr<Receiver> receiver;
  std::unique_ptr<grpc::Service> service, also;
  std::unique_ptr<grpc::Server> server;
  int port = 0;
};

PeerServer::PeerServer(std::unique_ptr<Calls> calls) : calls_(std::move(calls)) {}

Result<std::unique_ptr<PeerServer>> PeerServer::Start(Loop& loop, const std::string& listen,
                                                      const TlsFiles& files, Handler handler,
                                                      std::unique_ptr<grpc::Service> also) {
  auto calls = std::make_unique<Calls>();
  calls->receiver = std::make_shared<Receiver>(Receiver{loop, std::move(handler)});
  calls->service = std::make_unique<Service>(calls->receiver);
  grpc::ServerBuilder builder;
  builder.SetMaxReceiveMessageSize(kRpcMessageBytesMax);
  // A second agent of the same node must not share our port unnoticed.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddListeningPort(listen, TRY(MakeServerCredentials(files, ClientCertificate::kRequired)),
                           &calls->port);
  builder.RegisterService(calls->service.get());
  calls->also = std::move(also);
  if (calls->also) builder.RegisterService(calls->also.get());
  calls->server = builder.BuildAndStart();
  if (!calls->server || calls->port == 0)
    return Fail(Code::kUnavailable, "cannot listen on ", listen,
                " (agent.listen): is another agent running here?");
  return std::unique_ptr<PeerServer>(new PeerServer(std::move(calls)));
}

PeerServer::~PeerServer() {
  calls_->receiver->stopped = true;
  calls_->server->Shutdown(std::chrono::system_clock::now());
  calls_->server->Wait();
}

int PeerServer::port() const { return calls_->port; }

}  // namespace slipway
