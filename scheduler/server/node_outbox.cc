// SPDX-License-Identifier: Apache-2.0
#include "scheduler/server/node_outbox.h"

namespace slipway::scheduler {

NodeOutbox::~NodeOutbox() {
  *alive_ = false;
  loop_.Cancel(soon_);
}

void NodeOutbox::Send(v1::ToNode message) {
  if (closed()) return;
  if (!joins_) return Queue(std::move(message));
  waiting_.push_back(std::move(message));
  if (std::exchange(posted_, true)) return;
  loop_.Post([this, alive = alive_] {
    if (*alive) Flush();
  });
}

void NodeOutbox::SendSoon(v1::ToNode message) {
  if (!joins_) return Send(std::move(message));
  if (closed()) return;
  waiting_.push_back(std::move(message));
  if (waiting_.size() == 1) soon_ = loop_.After(kSoon, [this] { Flush(); });
}

void NodeOutbox::Flush() {
  std::vector<v1::ToNode> waiting = std::move(waiting_);
  Forget();
  v1::ToNode joined;
  std::size_t bytes = 0;
  for (v1::ToNode& message : waiting) {
    std::size_t more = message.ByteSizeLong();
    if (bytes != 0 && bytes + more <= kJoinedBytesMax) {
      *joined.add_more() = std::move(message);
    } else {
      if (bytes != 0) Queue(std::move(joined));
      joined = std::move(message);
      bytes = 0;
    }
    bytes += more;
  }
  if (bytes != 0) Queue(std::move(joined));
}

void NodeOutbox::Queue(v1::ToNode joined) {
  std::size_t messages = 1 + static_cast<std::size_t>(joined.more_size());
  queued_ += messages;
  outbox_.Send(std::move(joined), [this, messages] { queued_ -= messages; });
}

void NodeOutbox::Forget() {
  waiting_.clear();
  posted_ = false;
  loop_.Cancel(soon_);
}

void NodeOutbox::Finish(Result<> how) {
  Flush();
  outbox_.Finish(std::move(how));
}

void NodeOutbox::Abort(Error why) {
  Forget();
  outbox_.Abort(std::move(why));
}

}  // namespace slipway::scheduler
