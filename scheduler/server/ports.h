// SPDX-License-Identifier: Apache-2.0
// What the owner thread sees of a connection: gRPC's reactors implement these, tests may, too. All of it
// happens on the loop's thread.
#pragma once

#include <functional>

#include "base/result/result.h"

namespace slipway::v1 {
class AttachOutput;
class ToNode;
}  // namespace slipway::v1

namespace slipway::scheduler {

// A node's stream. Whoever holds one is told when it is gone (Head::NodeGone) before it dies.
class NodePort {
 public:
  virtual ~NodePort() = default;
  virtual void Send(const v1::ToNode& message) = 0;      // in order
  virtual void SendSoon(const v1::ToNode& message) = 0;  // in order, and may wait a moment for what follows
  virtual void Close(Error why) = 0;
};

// A client that is attached to a step.
class ClientPort {
 public:
  virtual ~ClientPort() = default;
  virtual void Send(const v1::AttachOutput& message, std::function<void()> written) = 0;
  virtual void Finish(Result<> how) = 0;  // after all that was sent
};

}  // namespace slipway::scheduler
