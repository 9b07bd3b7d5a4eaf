// SPDX-License-Identifier: Apache-2.0
// Programs of the site (health check, prolog, epilog) are run beside the daemon's work: with an environment
// of their own, a deadline, and what they write kept. One that hangs is ended with all of its process group.
//
// Loop's thread only. The callback comes from the loop. Destroying ends what runs; its callback never comes.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/loop/loop.h"
#include "base/os/process.h"

namespace slipway {

struct ProgramEnd {
  enum How : std::uint8_t { kExited, kSignaled, kTimedOut, kNotStarted };
  How how = kNotStarted;
  int code = 0;        // the exit code, or the signal
  std::string output;  // stdout and stderr together, the last 64 KiB
  std::string error;   // of kNotStarted
  bool good() const { return how == kExited && code == 0; }
};
// "exit code 1: no GPU left", "not done within 30 s": one line, with the last line of the output.
std::string Describe(const ProgramEnd& end, std::chrono::seconds deadline);

class SitePrograms {
 public:
  explicit SitePrograms(Loop& loop);
  ~SitePrograms();
  SitePrograms(const SitePrograms&) = delete;
  SitePrograms& operator=(const SitePrograms&) = delete;

  // `env` is the whole environment, NAME=value. It runs in / with stdin on /dev/null, in a session of its
  // own.
  void Run(std::vector<std::string> argv, std::vector<std::string> env, std::chrono::seconds deadline,
           std::function<void(const ProgramEnd&)> done);

 private:
  struct Running;
  void OnOutput(std::uint64_t number);
  void OnEnd(std::uint64_t number, bool timed_out);
  Loop& loop_;
  std::uint64_t next_ = 1;
  std::map<std::uint64_t, std::unique_ptr<Running>> running_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace slipway
