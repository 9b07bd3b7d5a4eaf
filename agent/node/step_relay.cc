// SPDX-License-Identifier: Apache-2.0
#include "agent/node/step_relay.h"

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <sys/stat.h>

#include <condition_variable>
#include <mutex>
#include <set>

#include "agent/node/call_thread.h"
#include "api/tls.h"
#include "api/token.h"

namespace slipway {
namespace {

const grpc::Status kTooMany(grpc::StatusCode::UNAVAILABLE,
                            "too many steps are attached on this node at once");

const std::set<std::string> kPassedOn = {"/slipway.v1.Jobs/CreateStep", "/slipway.v1.Jobs/Cancel",
                                         "/slipway.v1.Jobs/Attach"};

// What all calls share; `used` is the call thread's.
struct Exchange {
  grpc::AsyncGenericService service;
  std::unique_ptr<grpc::GenericStub> controller;
  grpc::ServerCompletionQueue* queue = nullptr;
  int calls_max = 0;
  int used = 0;

  std::mutex mutex;  // guards what follows
  std::condition_variable fewer;
  int calls = 0;
};
class Counted {
 public:
  explicit Counted(Exchange& in) : in_(in) {
    std::lock_guard lock(in_.mutex);
    ++in_.calls;
  }
  ~Counted() {
    std::lock_guard lock(in_.mutex);
    --in_.calls;
    in_.fewer.notify_all();
  }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;

 private:
  Exchange& in_;
};

// One call, passed on as bytes that nobody looks into: a call with one answer is a stream of one message.
// Each direction has one message under way: it is read, written, and then the next is read, so whoever is
// slow slows the other.
//
// It deletes itself when gRPC has nothing left to say of it. The command's half is finished by the end of the
// controller's half alone, and the controller's half by a read from it that failed.
class PassedCall {
 public:
  static void AwaitNext(Exchange& exchange) {
    auto* call = new PassedCall(exchange);
    call->pending_ = 2;  // `gone_` comes for a call that arrived
    call->from_.AsyncNotifyWhenDone(&call->gone_);
    exchange.service.RequestCall(&call->from_, &call->command_, exchange.queue, exchange.queue,
                                 &call->arrived_);
  }

 private:
  explicit PassedCall(Exchange& exchange) : counted_(exchange), exchange_(exchange) {}
  ~PassedCall() {
    if (placed_) --exchange_.used;
  }

  // Of the member with that name: what it does, and the end of a call of which nothing is left.
  CallThread::Done Then(void (PassedCall::*step)(bool)) {
    return [this, step](bool ok) {
      --pending_;
      (this->*step)(ok);
      if (pending_ == 0) delete this;
    };
  }
  CallThread::Done* Begin(CallThread::Done& done) {
    ++pending_;
    return &done;
  }

  void OnArrived(bool ok) {
    if (!ok) {  // the server ends
      --pending_;
      return;
    }
    AwaitNext(exchange_);
    if (!kPassedOn.contains(from_.method()))
      return command_.Finish({grpc::StatusCode::UNIMPLEMENTED, "a node does not pass this call on"},
                             Begin(answered_));
    placed_ = true;
    if (++exchange_.used > exchange_.calls_max) return command_.Finish(kTooMany, Begin(answered_));
    auto token = from_.client_metadata().find(kAuthorizationKey);
    if (token != from_.client_metadata().end())
      to_.AddMetadata(kAuthorizationKey, std::string(token->second.data(), token->second.size()));
    to_.set_deadline(from_.deadline());
    controller_ = exchange_.controller->PrepareCall(&to_, from_.method(), exchange_.queue);
    controller_->StartCall(Begin(begun_));
  }
  void OnBegun(bool ok) {
    if (!ok) return controller_->Finish(&status_, Begin(over_));
    controller_->Read(&output_, Begin(output_read_));
    command_.Read(&input_, Begin(input_read_));
  }
  void OnInput(bool ok) {
    if (finishing_) return;
    if (ok) {
      controller_->Write(input_, Begin(input_passed_));
    } else {
      controller_->WritesDone(Begin(input_over_));
    }
  }
  void OnInputPassed(bool ok) {
    if (ok && !finishing_) command_.Read(&input_, Begin(input_read_));
  }
  void OnOutput(bool ok) {
    if (ok) return command_.Write(output_, Begin(output_passed_));
    finishing_ = true;
    controller_->Finish(&status_, Begin(over_));
  }
  // Also when the command has gone: the read that fails then is what ends the other half.
  void OnOutputPassed(bool ok) {
    if (!ok) to_.TryCancel();
    controller_->Read(&output_, Begin(output_read_));
  }
  void OnOver(bool) { command_.Finish(status_, Begin(answered_)); }
  void OnGone(bool) {
    if (from_.IsCancelled()) to_.TryCancel();
  }
  void Nothing(bool) {}

  Counted counted_;  // first, so that it ends last
  Exchange& exchange_;
  int pending_ = 0;  // operations whose end has not come
  bool placed_ = false, finishing_ = false;
  grpc::GenericServerContext from_;
  grpc::GenericServerAsyncReaderWriter command_{&from_};
  grpc::ClientContext to_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> controller_;
  grpc::ByteBuffer input_, output_;
  grpc::Status status_;
  CallThread::Done arrived_ = Then(&PassedCall::OnArrived), gone_ = Then(&PassedCall::OnGone),
                   begun_ = Then(&PassedCall::OnBegun), input_read_ = Then(&PassedCall::OnInput),
                   input_passed_ = Then(&PassedCall::OnInputPassed), input_over_ = Then(&PassedCall::Nothing),
                   output_read_ = Then(&PassedCall::OnOutput),
                   output_passed_ = Then(&PassedCall::OnOutputPassed), over_ = Then(&PassedCall::OnOver),
                   answered_ = Then(&PassedCall::Nothing);
};

}  // namespace

struct StepRelay::Calls {
  Exchange exchange;
  std::unique_ptr<grpc::Server> server;
};

StepRelay::StepRelay(std::unique_ptr<Calls> calls) : calls_(std::move(calls)) {}

Result<std::unique_ptr<StepRelay>> StepRelay::Listen(CallThread& thread, const std::string& socket,
                                                     std::shared_ptr<grpc::Channel> controller,
                                                     int calls_max) {
  auto calls = std::make_unique<Calls>();
  grpc::ServerBuilder& builder = thread.server_builder();
  builder.SetMaxReceiveMessageSize(kRpcMessageBytesMax);
  builder.AddListeningPort(Cat("unix:", socket), grpc::InsecureServerCredentials());
  builder.AddChannelArgument(GRPC_ARG_HTTP2_BDP_PROBE, 0);  // as DialUnix
  builder.RegisterAsyncGenericService(&calls->exchange.service);
  calls->exchange.queue = thread.queue();
  calls->exchange.controller = std::make_unique<grpc::GenericStub>(std::move(controller));
  calls->exchange.calls_max = calls_max;
  calls->server = builder.BuildAndStart();
  if (!calls->server) return Fail(Code::kUnavailable, "cannot listen on ", socket);
  if (::chmod(socket.c_str(), 0666) < 0) return ErrnoFail("chmod", socket);
  PassedCall::AwaitNext(calls->exchange);
  return std::unique_ptr<StepRelay>(new StepRelay(std::move(calls)));
}

StepRelay::~StepRelay() {
  calls_->server->Shutdown(std::chrono::system_clock::now());
  // Also the one that did not arrive. Each begins operations until it has ended, and knows its server.
  Exchange& exchange = calls_->exchange;
  std::unique_lock lock(exchange.mutex);
  exchange.fewer.wait(lock, [&] { return exchange.calls == 0; });
}

}  // namespace slipway
