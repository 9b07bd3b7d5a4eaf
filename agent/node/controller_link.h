// SPDX-License-Identifier: Apache-2.0
// The agent's one stream to the controller. It is opened anew whenever it breaks, soon at first and then less
// and less often; what was not delivered is not repeated here: Register tells the controller everything that
// counts.
//
// Loop's thread only.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "api/tls.h"
#include "base/loop/loop.h"

namespace grpc {
class Channel;
}
namespace slipway::v1 {
class FromNode;
class ToNode;
}  // namespace slipway::v1

namespace slipway {

class CallThread;

class ControllerLink {
 public:
  struct Events {
    std::function<void(v1::FromNode&)> opening;      // fill in Register: the stream's first message
    std::function<void(const v1::ToNode&)> message;  // of the newest epoch seen; older ones are ignored
    std::function<void()> lost;
  };
  // Loop and thread must outlive it.
  static Result<std::unique_ptr<ControllerLink>> Make(Loop& loop, CallThread& thread,
                                                      const std::string& target, const TlsFiles& files,
                                                      Events events);
  ~ControllerLink();

  void Open();
  // Dropped while there is no stream.
  void Send(v1::FromNode message);
  // A token for that uid from the controller; the callback comes from the loop, never once the link is gone.
  void Vouch(std::uint32_t uid, std::function<void(Result<std::string>)> done);
  // For image fetches.
  const std::shared_ptr<grpc::Channel>& channel() const;

 private:
  struct Calls;
  ControllerLink(Loop& loop, std::unique_ptr<Calls> calls, Events events);
  void OnMessage(const v1::ToNode& message);
  void OnEnded(const std::string& why);

  Loop& loop_;
  std::unique_ptr<Calls> calls_;
  Events events_;
  std::uint64_t epoch_ = 0;  // the highest seen
  std::chrono::milliseconds wait_{0};
  std::string last_error_;  // logged when it changes, not on every try
  Loop::TimerId timer_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace slipway
