// SPDX-License-Identifier: Apache-2.0
// Each message on a node's stream costs both ends a write, a read and several wake-ups of gRPC's threads, and
// the end of a job alone has three for its node: the report is safe, the job is to go, here is the next. What
// one turn of the loop says goes as one message (ToNode::more), in its order, and what can wait goes with
// what cannot. To agents that do not read it so, each goes by itself. Loop's thread.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

#include "base/loop/loop.h"
#include "scheduler/server/outbox.h"
#include "slipway/v1/node.pb.h"

namespace slipway::scheduler {

class NodeOutbox {
 public:
  static constexpr std::chrono::milliseconds kSoon{100};
  static constexpr std::size_t kJoinedBytesMax = 256 << 10;  // what is larger goes by itself

  // As Outbox's.
  NodeOutbox(Loop& loop, std::function<void(const v1::ToNode*)> start,
             std::function<void(const Result<>&)> finish)
      : loop_(loop), outbox_(std::move(start), std::move(finish)) {}
  ~NodeOutbox();

  void Join() { joins_ = true; }  // the agent reads ToNode::more
  void Send(v1::ToNode message);
  void SendSoon(v1::ToNode message);  // with what is sent next, or after kSoon
  void Finish(Result<> how);          // behind what was sent
  void Abort(Error why);              // without it
  void Written(bool ok) { outbox_.Written(ok); }
  bool closed() const { return outbox_.closed(); }
  std::size_t size() const { return queued_ + waiting_.size(); }  // messages, however they are joined

 private:
  void Flush();
  void Queue(v1::ToNode joined);
  void Forget();

  Loop& loop_;
  Outbox<v1::ToNode> outbox_;
  std::size_t queued_ = 0;  // messages in outbox_
  bool joins_ = false;
  std::vector<v1::ToNode> waiting_;
  bool posted_ = false;  // a Flush, at the end of this turn
  Loop::TimerId soon_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace slipway::scheduler
