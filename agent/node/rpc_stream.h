// SPDX-License-Identifier: Apache-2.0
// One bidirectional gRPC stream that we open, tamed for a Loop: messages arrive there in order, writes are
// queued. gRPC's threads decode and post, nothing else.
//
// Include only where gRPC's headers are needed anyway (.cc files).
#pragma once

#include <grpcpp/grpcpp.h>
#include <grpcpp/support/client_callback.h>

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>

#include "base/loop/loop.h"

namespace slipway {

template <class Out, class In>
class RpcStream final : public grpc::ClientBidiReactor<Out, In> {
 public:
  struct Events {
    std::function<void()> opened;  // the server has answered; may be empty
    std::function<void(const In&)> message;
    std::function<void(const grpc::Status&)> ended;  // once; nothing comes after it
  };

  // `open(context, reactor)` starts the call on a stub. The stream keeps itself until gRPC is done with it;
  // the loop must live until then (Close waits).
  template <class Open>
  static std::shared_ptr<RpcStream> Start(Loop& loop, Events events, Open open) {
    std::shared_ptr<RpcStream> stream(new RpcStream(loop, std::move(events)));
    stream->self_ = stream;
    open(&stream->context_, stream.get());
    stream->StartRead(&stream->incoming_);
    stream->StartCall();
    return stream;
  }

  // Loop's thread. What a stream that has ended did not write any more is dropped.
  void Send(Out message) {
    std::lock_guard lock(mutex_);
    if (closed_) return;
    queued_bytes_ += message.ByteSizeLong();
    outgoing_.push_back(std::move(message));
    if (outgoing_.size() == 1) this->StartWrite(&outgoing_.front());
  }
  std::size_t queued_bytes() const {
    std::lock_guard lock(mutex_);
    return queued_bytes_;
  }
  // No event comes any more. Blocks until gRPC has let go of the stream (it is told to at once).
  void Close() {
    *muted_ = true;
    context_.TryCancel();
    std::unique_lock lock(mutex_);
    done_changed_.wait(lock, [this] { return done_; });
  }

  void OnReadInitialMetadataDone(bool ok) override {
    if (!ok) return;
    loop_.Post([this, self = self_, muted = muted_] {
      if (!*muted && events_.opened) events_.opened();
    });
  }
  void OnReadDone(bool ok) override {
    if (!ok) {
      std::lock_guard lock(mutex_);
      closed_ = true;
      return;
    }
    loop_.Post([this, self = self_, muted = muted_, message = std::move(incoming_)] {
      if (!*muted) events_.message(message);
    });
    incoming_ = In();
    this->StartRead(&incoming_);
  }
  void OnWriteDone(bool ok) override {
    std::lock_guard lock(mutex_);
    if (!ok) closed_ = true;
    queued_bytes_ -= outgoing_.front().ByteSizeLong();
    outgoing_.pop_front();
    if (!closed_ && !outgoing_.empty()) this->StartWrite(&outgoing_.front());
  }
  void OnDone(const grpc::Status& status) override {
    std::shared_ptr<RpcStream> self = std::move(self_);
    loop_.Post([this, self, muted = muted_, status] {
      if (!*muted) events_.ended(status);
    });
    std::lock_guard lock(mutex_);
    done_ = true;
    done_changed_.notify_all();
  }

 private:
  RpcStream(Loop& loop, Events events) : loop_(loop), events_(std::move(events)) {}

  Loop& loop_;
  Events events_;                                                // loop's thread
  std::shared_ptr<bool> muted_ = std::make_shared<bool>(false);  // loop's thread
  grpc::ClientContext context_;
  In incoming_;
  std::shared_ptr<RpcStream> self_;

  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable done_changed_;
  std::deque<Out> outgoing_;
  std::size_t queued_bytes_ = 0;
  bool closed_ = false, done_ = false;
};

}  // namespace slipway
