// SPDX-License-Identifier: Apache-2.0
// One bidirectional gRPC stream that we open, tamed for a Loop: messages arrive there in order, writes are
// queued. The call thread decodes and posts, nothing else.
//
// Include only where gRPC's headers are needed anyway (.cc files).
#pragma once

#include <grpcpp/grpcpp.h>

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>

#include "agent/node/call_thread.h"
#include "base/loop/loop.h"

namespace slipway {

template <class Out, class In>
class RpcStream {
 public:
  struct Events {
    std::function<void(const In&)> message;
    std::function<void(const grpc::Status&)> ended;  // once; nothing comes after it
  };

  // `prepare(context)` prepares the call on a stub, for a CallThread's queue. The stream keeps itself until
  // gRPC is done with it; the loop must live until then (Close waits).
  template <class Prepare>
  static std::shared_ptr<RpcStream> Start(Loop& loop, Events events, Prepare prepare) {
    std::shared_ptr<RpcStream> stream(new RpcStream(loop, std::move(events)));
    stream->self_ = stream;
    stream->call_ = prepare(&stream->context_);
    stream->call_->StartCall(&stream->on_started_);
    return stream;
  }

  // Loop's thread. What a stream that has ended did not write any more is dropped.
  void Send(Out message) {
    std::lock_guard lock(mutex_);
    if (state_ > State::kOpen) return;
    outgoing_.push_back(std::move(message));
    WriteNext();
  }
  // No event comes any more. Blocks until gRPC has let go of the stream (it is told to at once).
  void Close() {
    *muted_ = true;
    context_.TryCancel();
    std::unique_lock lock(mutex_);
    done_changed_.wait(lock, [this] { return state_ == State::kDone; });
  }

 private:
  // kDeaf: nothing can be written any more, but the end is not known yet.
  enum class State : std::uint8_t { kStarting, kOpen, kDeaf, kEnded, kDone };

  RpcStream(Loop& loop, Events events) : loop_(loop), events_(std::move(events)) {}

  void OnStarted(bool ok) {
    std::lock_guard lock(mutex_);
    if (!ok) return FinishCall();
    state_ = State::kOpen;
    call_->Read(&incoming_, &on_read_);
    WriteNext();
  }
  void OnRead(bool ok) {
    if (ok) {
      loop_.Post([this, self = self_, muted = muted_, message = std::move(incoming_)] {
        if (!*muted) events_.message(message);
      });
      incoming_ = In();
    }
    std::lock_guard lock(mutex_);
    if (!ok) return FinishCall();
    call_->Read(&incoming_, &on_read_);
  }
  void OnWritten(bool ok) {
    std::unique_lock lock(mutex_);
    writing_ = false;
    outgoing_.pop_front();
    if (!ok && state_ == State::kOpen) state_ = State::kDeaf;  // the read that is under way says why
    WriteNext();
    EndOnce(std::move(lock));
  }
  void OnFinished() {
    std::unique_lock lock(mutex_);
    state_ = State::kEnded;
    EndOnce(std::move(lock));
  }
  void FinishCall() {
    state_ = State::kDeaf;
    call_->Finish(&status_, &on_finished_);
  }
  void WriteNext() {
    if (state_ != State::kOpen || writing_ || outgoing_.empty()) return;
    writing_ = true;
    call_->Write(outgoing_.front(), &on_written_);
  }
  // gRPC has let go once both the call and the last write have ended.
  void EndOnce(std::unique_lock<std::mutex> lock) {
    if (state_ != State::kEnded || writing_) return;
    std::shared_ptr<RpcStream> self = std::move(self_);
    loop_.Post([this, self, muted = muted_] {
      if (!*muted) events_.ended(status_);
    });
    state_ = State::kDone;
    done_changed_.notify_all();
    lock.unlock();  // before `self`, which may be the last
  }

  Loop& loop_;
  Events events_;                                                // loop's thread
  std::shared_ptr<bool> muted_ = std::make_shared<bool>(false);  // loop's thread
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientAsyncReaderWriter<Out, In>> call_;
  CallThread::Done on_started_ = [this](bool ok) { OnStarted(ok); },
                   on_read_ = [this](bool ok) { OnRead(ok); },
                   on_written_ = [this](bool ok) { OnWritten(ok); },
                   on_finished_ = [this](bool) { OnFinished(); };
  In incoming_;
  grpc::Status status_;
  std::shared_ptr<RpcStream> self_;

  std::mutex mutex_;  // guards what follows
  std::condition_variable done_changed_;
  State state_ = State::kStarting;
  bool writing_ = false;
  std::deque<Out> outgoing_;
};

}  // namespace slipway
