// SPDX-License-Identifier: Apache-2.0
// Rank 0 on a terminal (`launch --pty`). The rank makes it itself, in its container's /dev/pts
// (launch_spec.h, Task::own_terminal), and sends us the outer side; from then on that is where its output
// comes from and where what the caller types goes. Until then both wait.
//
// Loop's thread only.
#pragma once

#include <cstdint>

#include "agent/stepd/output_pump.h"
#include "launcher/spec/terminal.h"

namespace slipway {

class RankTerminal {
 public:
  // All borrowed.
  RankTerminal(Loop& loop, OutputPump& output, InputPump& input)
      : loop_(loop), output_(output), input_(input) {}
  ~RankTerminal() { Forget(); }
  RankTerminal(const RankTerminal&) = delete;
  RankTerminal& operator=(const RankTerminal&) = delete;

  // The rank's end of the socket over which its terminal comes.
  Result<UniqueFd> Expect(std::uint32_t rank);
  // The kernel tells those in the foreground by SIGWINCH.
  void Resize(TerminalSize size);

 private:
  void OnSocket();
  void Forget();

  Loop& loop_;
  OutputPump& output_;
  InputPump& input_;
  UniqueFd socket_, terminal_;
  Loop::WatchId watch_;
  std::uint64_t stream_ = 0;
  TerminalSize size_;  // asked for before there was a terminal
};

}  // namespace slipway
