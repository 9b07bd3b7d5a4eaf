// SPDX-License-Identifier: Apache-2.0
// The terminal of an interactive step: its output here, our input and signals there, until it has ended.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "cli/remote/cluster.h"

namespace slipway::cli {

struct AttachOptions {
  std::uint64_t job = 0;
  std::uint32_t step = 0;
  bool owns_job = false;  // a second Ctrl-C ends the whole job, not only the step
  bool label = false;     // "3: " before each line of rank 3
  bool quiet = false;     // no news of the way to its start
};

// Signals must be blocked before any thread exists: first thing in the program that will attach.
void BlockAttachSignals();
// The step's exit code; its reason, when it failed, has been printed. The process should end at once
// afterwards (FinishAttached): the threads that wait for input are still there.
Result<int> Attach(Cluster& cluster, const AttachOptions& options);
[[noreturn]] void FinishAttached(int code);

// Puts "rank: " before each line. Output comes in pieces that end anywhere.
class LineLabeller {
 public:
  // What can be printed of the whole lines so far; `ended` flushes an unfinished one.
  std::string Take(std::uint32_t rank, std::uint32_t stream, const std::string& data);
  std::string Flush(std::uint32_t stream);

 private:
  std::map<std::pair<std::uint32_t, std::uint32_t>, std::string> partial_;
};

}  // namespace slipway::cli
