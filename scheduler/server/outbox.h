// SPDX-License-Identifier: Apache-2.0
// gRPC takes one message of a stream at a time; whoever sends has several. The queue between the two, on the
// loop's thread, and the rule that Finish comes after what was sent.
#pragma once

#include <deque>
#include <functional>
#include <optional>
#include <utility>

#include "base/result/result.h"

namespace slipway::scheduler {

template <class Message>
class Outbox {
 public:
  // `start` hands a message to gRPC; it must stay as it is until Written. `finish` is called once.
  Outbox(std::function<void(const Message*)> start, std::function<void(const Result<>&)> finish)
      : start_(std::move(start)), finish_(std::move(finish)) {}

  void Send(Message message, std::function<void()> written) {
    if (how_) return;
    queue_.push_back({std::move(message), std::move(written)});
    if (!writing_) Start();
  }
  void Finish(Result<> how) {
    if (how_) return;
    how_ = std::move(how);
    if (!writing_) End();
  }
  // Without what is queued.
  void Abort(Error why) {
    if (how_) return;
    while (queue_.size() > (writing_ ? 1 : 0)) queue_.pop_back();
    Finish(Failure(std::move(why)));
  }
  void Written(bool ok) {
    writing_ = false;
    auto written = std::move(queue_.front().second);
    queue_.pop_front();
    if (!ok) {
      queue_.clear();
      if (!how_) how_ = Fail(Code::kCancelled, "the stream is gone");
      return End();
    }
    if (written) written();
    if (writing_) return;
    if (!queue_.empty()) return Start();
    if (how_) End();
  }
  bool closed() const { return how_.has_value(); }
  std::size_t size() const { return queue_.size(); }

 private:
  void Start() {
    writing_ = true;
    start_(&queue_.front().first);
  }
  void End() {
    if (!std::exchange(ended_, true)) finish_(*how_);
  }
  std::function<void(const Message*)> start_;
  std::function<void(const Result<>&)> finish_;
  std::deque<std::pair<Message, std::function<void()>>> queue_;  // front: on its way while writing_
  std::optional<Result<>> how_;
  bool writing_ = false, ended_ = false;
};

}  // namespace slipway::scheduler
