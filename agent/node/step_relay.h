// SPDX-License-Identifier: Apache-2.0
// `slipway launch` in a batch script is a new process each time, and half of what a short step takes was its
// TLS handshake with the controller. So the agent passes on, over the connection that it has, what such a
// command asks: to create a step, to attach to it, to send it a signal. Its socket lies beside the one for
// tokens, and a batch script's container has both.
//
// Every call carries its user's token, and the controller judges that as it would without us: who reaches the
// socket can do nothing that he could not do at the controller's port. No other call is answered.
#pragma once

#include <memory>
#include <string>

#include "base/result/result.h"

namespace grpc {
class Channel;
}

namespace slipway {

class CallThread;

// Its work is done by the call thread, whose one server it is and which must outlive it; made and destroyed
// by the loop's thread.
class StepRelay {
 public:
  // `socket`: a path that every user may connect to from then on. More than `calls_max` calls at once are
  // refused (kUnavailable: the command asks again).
  static Result<std::unique_ptr<StepRelay>> Listen(CallThread& thread, const std::string& socket,
                                                   std::shared_ptr<grpc::Channel> controller,
                                                   int calls_max = 1024);
  ~StepRelay();  // ends the calls that are left; the commands attach again

 private:
  struct Calls;
  explicit StepRelay(std::unique_ptr<Calls> calls);
  std::unique_ptr<Calls> calls_;
};

}  // namespace slipway
