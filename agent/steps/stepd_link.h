// SPDX-License-Identifier: Apache-2.0
// One connection to one stepd: frames both ways on a Unix stream that the user at the other end may stop
// reading, break or flood at any moment. Nothing here waits for him.
//
// Loop's thread only. Callbacks come from the loop, never from within Send; they may destroy the link. After
// `lost` (once) nothing more comes.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/loop/loop.h"
#include "base/os/fd.h"
#include "base/wire/stream.h"
#include "launcher/spec/step_protocol.h"

namespace slipway {

class StepdLink {
 public:
  struct Events {
    // An error: stepd does not keep the protocol; the link is lost with it.
    std::function<Result<>(StepFrame kind, std::string_view payload)> frame;
    std::function<void(std::string why)> lost;
  };
  // `path` must be a socket itself, not a link to one: the folder is the user's.
  static Result<std::unique_ptr<StepdLink>> Connect(Loop& loop, const std::string& path, Events events);
  ~StepdLink();
  StepdLink(const StepdLink&) = delete;
  StepdLink& operator=(const StepdLink&) = delete;

  // Queued; beyond kQueueBytesMax unread bytes the link is lost, since stepd reads nothing.
  template <class T>
  void Send(StepFrame kind, const T& payload) {
    Queue(WithLength(EncodeFrame(kind, payload)));
  }
  void Send(StepFrame kind);  // without payload
  // The same, at the end of the loop's turn: what several nodes sent wakes stepd once.
  template <class T>
  void SendSoon(StepFrame kind, const T& payload) {
    Queue(WithLength(EncodeFrame(kind, payload)), true);
  }
  // While paused nothing is read, and stepd waits.
  void Pause(bool paused);
  std::size_t queued_bytes() const { return outgoing_.size() - sent_; }

 private:
  static constexpr std::size_t kQueueBytesMax = 64 << 20;
  static constexpr std::size_t kFrameBytesMax = 8 << 20;

  StepdLink(Loop& loop, UniqueFd socket, Events events)
      : loop_(loop), socket_(std::move(socket)), events_(std::move(events)), reader_(kFrameBytesMax) {}
  void Queue(const std::string& bytes, bool soon = false);
  void OnSocket(std::uint32_t epoll_events);
  void Flush();
  void Read();
  void Watch();
  void Lose(std::string why);
  void LoseSoon(std::string why);

  Loop& loop_;
  UniqueFd socket_;
  Loop::WatchId watch_;
  Events events_;
  FrameReader reader_;
  std::string outgoing_;
  std::size_t sent_ = 0;
  std::uint32_t watched_events_ = 0;
  bool paused_ = false, lost_ = false, flush_comes_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace slipway
