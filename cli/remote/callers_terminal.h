// SPDX-License-Identifier: Apache-2.0
// The terminal of `launch --pty`: a process has one, and whichever thread ends the process gives it back.
// From any thread.
#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>

#include "launcher/client/raw_terminal.h"
#include "slipway/v1/job.pb.h"

namespace slipway::cli {

class CallersTerminal {
 public:
  static CallersTerminal& Instance();

  v1::TerminalSize Size() const;  // of standard input; 0: not known
  // The step's ranks run: ours becomes raw, unless we are in the background. Again: nothing.
  void Begin();
  void WaitForBegin();
  void End();  // for good
  // Lines of our own, for a terminal that may be raw: a line end alone does not bring it back to the left.
  std::string Lines(std::string text) const;

 private:
  mutable std::mutex mutex_;
  std::condition_variable begun_;
  std::optional<RawTerminal> raw_;
  bool has_begun_ = false, ended_ = false;
};

}  // namespace slipway::cli
