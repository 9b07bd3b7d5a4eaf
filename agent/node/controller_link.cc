// SPDX-License-Identifier: Apache-2.0
#include "agent/node/controller_link.h"

#include <algorithm>

#include "agent/node/rpc_stream.h"
#include "api/status.h"
#include "base/log/log.h"
#include "slipway/v1/node.grpc.pb.h"

namespace slipway {
namespace {

constexpr std::chrono::milliseconds kFirstWait{200}, kLongestWait{5000};

using Stream = RpcStream<v1::FromNode, v1::ToNode>;

struct VouchCall {
  grpc::ClientContext context;
  v1::VouchReply reply;
  grpc::Status status;
  std::unique_ptr<grpc::ClientAsyncResponseReader<v1::VouchReply>> reader;
  CallThread::Done done;
};

}  // namespace

struct ControllerLink::Calls {
  explicit Calls(CallThread& thread) : thread(thread) {}
  CallThread& thread;
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<v1::NodeLink::Stub> stub;
  std::shared_ptr<Stream> stream;

  std::mutex mutex;  // guards vouching
  std::condition_variable settled;
  std::map<VouchCall*, std::unique_ptr<VouchCall>> vouching;
};

ControllerLink::ControllerLink(Loop& loop, std::unique_ptr<Calls> calls, Events events)
    : loop_(loop), calls_(std::move(calls)), events_(std::move(events)) {}

Result<std::unique_ptr<ControllerLink>> ControllerLink::Make(Loop& loop, CallThread& thread,
                                                             const std::string& target, const TlsFiles& files,
                                                             Events events) {
  auto calls = std::make_unique<Calls>(thread);
  calls->channel = TRY(DialTls(target, files, kControllerTlsName));
  calls->stub = v1::NodeLink::NewStub(calls->channel);
  return std::unique_ptr<ControllerLink>(new ControllerLink(loop, std::move(calls), std::move(events)));
}

ControllerLink::~ControllerLink() {
  *alive_ = false;
  loop_.Cancel(timer_);
  if (calls_->stream) calls_->stream->Close();
  std::unique_lock lock(calls_->mutex);
  for (auto& [key, call] : calls_->vouching) call->context.TryCancel();
  calls_->settled.wait(lock, [this] { return calls_->vouching.empty(); });
}

const std::shared_ptr<grpc::Channel>& ControllerLink::channel() const { return calls_->channel; }

void ControllerLink::Open() {
  if (calls_->stream) return;
  Stream::Events events;
  events.message = [this](const v1::ToNode& message) { OnMessage(message); };
  events.ended = [this](const grpc::Status& status) {
    OnEnded(status.ok() ? "the controller closed the stream" : FromStatus(status).message);
  };
  calls_->stream = Stream::Start(loop_, std::move(events), [this](grpc::ClientContext* context) {
    return calls_->stub->PrepareAsyncConnect(context, calls_->thread.queue());
  });
  v1::FromNode first;
  events_.opening(first);
  calls_->stream->Send(std::move(first));
}

void ControllerLink::Send(v1::FromNode message) {
  if (calls_->stream) calls_->stream->Send(std::move(message));
}

void ControllerLink::OnMessage(const v1::ToNode& message) {
  if (message.epoch() < epoch_) {
    Log(Level::kWarn, "ignored a message of a controller that has been replaced",
        {{"epoch", message.epoch()}, {"newest", epoch_}});
    return;
  }
  epoch_ = message.epoch();
  wait_ = std::chrono::milliseconds(0);
  last_error_.clear();
  events_.message(message);
  for (const v1::ToNode& more : message.more()) events_.message(more);
}

void ControllerLink::OnEnded(const std::string& why) {
  calls_->stream.reset();
  if (why != last_error_) Log(Level::kWarn, "no connection to the controller", {{"error", why}});
  last_error_ = why;
  wait_ = std::clamp(wait_ * 2, kFirstWait, kLongestWait);
  timer_ = loop_.After(wait_, [this] { Open(); });
  events_.lost();
}

void ControllerLink::Vouch(std::uint32_t uid, std::function<void(Result<std::string>)> done) {
  auto owned = std::make_unique<VouchCall>();
  VouchCall* call = owned.get();
  call->context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(5));
  call->done = [this, call, alive = alive_, done = std::move(done)](bool) {
    Result<std::string> token = call->status.ok()
                                    ? Result<std::string>(std::move(*call->reply.mutable_token()))
                                    : Failure(FromStatus(call->status));
    loop_.Post([alive, done, token = std::move(token)] {
      if (*alive) done(token);
    });
    std::lock_guard lock(calls_->mutex);
    auto ended = calls_->vouching.extract(call);  // with this very function: nothing of it is used below
    calls_->settled.notify_all();
  };
  {
    std::lock_guard lock(calls_->mutex);
    calls_->vouching.emplace(call, std::move(owned));
  }
  v1::VouchRequest request;
  request.set_uid(uid);
  call->reader = calls_->stub->PrepareAsyncVouch(&call->context, request, calls_->thread.queue());
  call->reader->StartCall();
  call->reader->Finish(&call->reply, &call->status, &call->done);
}

}  // namespace slipway
