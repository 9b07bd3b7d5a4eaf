// SPDX-License-Identifier: Apache-2.0
// The caller's standard input, a terminal or not: a process has one, and whichever thread ends the process
// gives it back: the terminal of `launch --pty` as it was, and what is typed from then on unread, for the
// shell that comes after us. From any thread.
#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>

#include "base/os/fd.h"
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
  // Waits for input, or for the end; as read(2): 0 at the end of the input, and after End(). In the
  // background of a terminal it waits: a read there would stop us.
  ssize_t Read(char* into, std::size_t size);
  void End();  // for good
  // Lines of our own, for a terminal that may be raw: a line end alone does not bring it back to the left.
  std::string Lines(std::string text) const;

 private:
  mutable std::mutex mutex_;
  std::timed_mutex reading_;  // held by Read() from its last look to the read itself
  std::condition_variable begun_;
  std::optional<RawTerminal> raw_;
  bool has_begun_ = false, ended_ = false;
  Result<PipeEnds> end_ = MakePipe();  // closed by End(), for who waits
};

}  // namespace slipway::cli
