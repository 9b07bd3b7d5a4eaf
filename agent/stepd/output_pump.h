// SPDX-License-Identifier: Apache-2.0
// Output that goes to a client travels rank → pipe → stepd → agent → controller → client, and the slowest of
// them must be able to hold back the rank, not fill our memory: a byte leaves a pipe only against credit from
// the agent. While no agent is there nothing is read at all. And the other way for stdin of rank 0.
//
// Loop's thread only.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/loop/loop.h"
#include "base/os/fd.h"
#include "launcher/spec/step_protocol.h"

namespace slipway {

inline constexpr std::uint64_t kInitialCreditBytes = 1 << 20;

class OutputPump {
 public:
  OutputPump(Loop& loop, std::function<void(StepOutput)> send) : loop_(loop), send_(std::move(send)) {}
  ~OutputPump();
  OutputPump(const OutputPump&) = delete;
  OutputPump& operator=(const OutputPump&) = delete;

  // The rank's end of a new stream.
  Result<UniqueFd> Add(std::uint32_t rank, std::uint8_t stream);
  // A stream whose outer end comes later (a terminal, which the rank makes): Settle, once, with the number
  // that is returned here. Not drained before that.
  std::uint64_t Expect(std::uint32_t rank, std::uint8_t stream);
  void Settle(std::uint64_t number, UniqueFd fd);  // none: it will not come
  // What comes out of no stream. False: nobody is there to take it, or has credit left for all of it.
  bool Say(StepOutput piece);
  void Attach();  // an agent is there, with the initial credit
  void Detach();
  void Grant(std::uint64_t bytes);
  // Every stream has ended and said so.
  bool drained() const { return sources_.empty(); }
  // Nobody is left to write: what is in the pipes still goes out, but open ends are not waited for.
  void LastCall();
  std::function<void()> on_drained;

 private:
  struct Source {
    std::uint32_t rank;
    std::uint8_t stream;
    UniqueFd pipe;  // none yet: expected
    Loop::WatchId watch;
    bool watched = false;
  };
  void Update();
  void OnReadable(std::uint64_t id);
  void End(std::uint64_t id);

  Loop& loop_;
  std::function<void(StepOutput)> send_;
  std::map<std::uint64_t, Source> sources_;
  std::uint64_t next_id_ = 1;
  std::uint64_t credit_ = 0;
  bool attached_ = false, last_call_ = false;
};

// What the client types, towards rank 0's stdin; never blocks.
class InputPump {
 public:
  explicit InputPump(Loop& loop) : loop_(loop) {}
  ~InputPump() { Close(); }
  InputPump(const InputPump&) = delete;
  InputPump& operator=(const InputPump&) = delete;

  Result<UniqueFd> Open();   // the rank's end
  void Settle(UniqueFd fd);  // instead: our end of what a rank has made itself; none: it will not come
  // What comes before either waits. False when the rank reads so slowly that too much waits: its stdin is
  // ended then.
  bool Write(std::string_view bytes, bool eof);

 private:
  static constexpr std::size_t kWaitingBytesMax = 64 << 20;
  void Flush();
  void Close();
  Loop& loop_;
  UniqueFd pipe_;
  Loop::WatchId watch_;
  bool opened_ = false, watched_ = false, eof_ = false;
  std::string waiting_;
};

}  // namespace slipway
