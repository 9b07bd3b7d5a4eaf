// SPDX-License-Identifier: Apache-2.0
// The container's child has one way to speak: frames on the control socket. A child that fails half-built
// says one line and goes; it does not unwind.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/os/socket.h"
#include "launcher/spec/init_protocol.h"

namespace slipway {

inline constexpr int kExitOurs = 125, kExitCannotExecute = 126, kExitNotFound = 127;

class Report {
 public:
  explicit Report(int control_fd);  // borrowed

  // Closes the lap that began at the one before: "where the time went".
  void EndLap(std::string name);
  const std::vector<Lap>& laps() const { return laps_; }
  // A line for --explain, kept for InitReady; for specs that ask for it.
  // As many as fit a message by far.
  void Fact(std::string line) {
    if (facts_.size() < 500) facts_.push_back(line.substr(0, 200));
  }
  const std::vector<std::string>& facts() const { return facts_; }

  template <class T>
  Result<> Send(InitFrame kind, const T& payload) {
    return SendMessage(control_fd_, EncodeFrame(kind, payload));
  }
  void Warn(const std::string& line);
  // kFailed with `exit_code` for the user, then _exit(125).
  [[noreturn]] void Die(const std::string& line, int exit_code = kExitOurs);

 private:
  int control_fd_;
  std::int64_t lap_began_ns_;
  std::vector<Lap> laps_;
  std::vector<std::string> facts_;
};

}  // namespace slipway
