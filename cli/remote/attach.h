// SPDX-License-Identifier: Apache-2.0
// The terminal of an interactive step: its output here, our input and signals there, until it has ended.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cli/remote/cluster.h"

namespace slipway::v1 {
class CreateStepRequest;
}

namespace slipway::cli {

struct AttachOptions {
  std::uint64_t job = 0;
  std::uint32_t step = 0;
  std::shared_ptr<const v1::CreateStepRequest> create = {};  // creates that step first; `step` does not count
  bool owns_job = false;  // a second Ctrl-C ends the whole job, not only the step
  bool label = false;     // "3: " before each line of rank 3
  // Of a heterogeneous launch the jobs of the components behind the first, the same step in each. They get
  // the signals, too, and no input; labels are "1.3: " then, for rank 3 of component 1.
  std::vector<std::uint64_t> others = {};
  bool terminal = false;  // our terminal is the step's, raw while its ranks run; Ctrl-C is a key like others
  bool quiet = false;     // no news of the way to its start
};

// Signals must be blocked before any thread exists: first thing in the program that will attach.
void BlockAttachSignals();
// The step's exit code, of several components the job's; its reason, when it failed, has been printed. The
// process should end at once afterwards (FinishAttached): the threads that wait for input are still there.
Result<int> Attach(Cluster& cluster, const AttachOptions& options);
[[noreturn]] void FinishAttached(int code);

// Puts "rank: " before each line. Output comes in pieces that end anywhere.
class LineLabeller {
 public:
  explicit LineLabeller(std::string prefix = {}) : prefix_(std::move(prefix)) {}  // before the rank
  // What can be printed of the whole lines so far; `ended` flushes an unfinished one.
  std::string Take(std::uint32_t rank, std::uint32_t stream, const std::string& data);
  std::string Flush(std::uint32_t stream);

 private:
  std::string prefix_;
  std::map<std::pair<std::uint32_t, std::uint32_t>, std::string> partial_;
};

}  // namespace slipway::cli
