// SPDX-License-Identifier: Apache-2.0
// stepd outlives its agent: whoever attached last is the agent. Nothing here waits for it, and what is said
// while nobody listens is dropped; callers that need it said again do so when one attaches.
//
// Loop's thread only.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/loop/loop.h"
#include "base/os/fd.h"
#include "base/wire/stream.h"
#include "launcher/link/door.h"
#include "launcher/spec/step_protocol.h"

namespace slipway {

class AgentLink {
 public:
  struct Events {
    std::function<void()> attached;  // kState is expected as the first answer
    std::function<void()> detached;
    // An error: this agent does not keep the protocol and is let go.
    std::function<Result<>(StepFrame kind, std::string_view payload)> frame;
  };
  AgentLink(Loop& loop, Events events) : loop_(loop), events_(std::move(events)) {}
  ~AgentLink();
  AgentLink(const AgentLink&) = delete;
  AgentLink& operator=(const AgentLink&) = delete;

  static constexpr std::size_t kFrameBytesMax = 8 << 20;

  // Of a connection that opened with kAttach; the one before it is let go.
  void Adopt(Opening opening);
  bool attached() const { return attached_; }
  template <class T>
  void Send(StepFrame kind, const T& payload) {
    if (attached_) Queue(WithLength(EncodeFrame(kind, payload)));
  }
  // The same, at the end of the loop's turn: what one turn has for several nodes wakes the agent once.
  template <class T>
  void SendSoon(StepFrame kind, const T& payload) {
    if (attached_) Queue(WithLength(EncodeFrame(kind, payload)), true);
  }
  std::size_t queued_bytes() const { return outgoing_.size() - sent_; }

 private:
  static constexpr std::size_t kQueueBytesMax = 256 << 20;

  void OnSocket(std::uint32_t epoll_events);
  Result<> Read();
  Result<> HandleFrames();
  void DropFor(const Error& error);
  Result<> Handle(std::string_view frame);
  void Queue(const std::string& bytes, bool soon = false);
  void Flush();
  void Drop();

  Loop& loop_;
  UniqueFd socket_;
  Events events_;
  Loop::WatchId socket_watch_;
  FrameReader reader_{kFrameBytesMax};
  std::string outgoing_;
  std::size_t sent_ = 0;
  bool attached_ = false, writing_ = false, flush_comes_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace slipway
