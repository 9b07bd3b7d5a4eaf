// SPDX-License-Identifier: Apache-2.0
// A step's folders (home, working directory, where its files go, what is bound) may lie on a server that does
// not answer: whoever looks there then waits for ever, and a step that waits so tells nobody. So they are
// looked at first, by a thread that may be lost, with a deadline.
//
// A thread that never comes back ends with the process, or is what the node's kill reports as stuck. What
// stops answering after the look is not seen.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/loop/loop.h"
#include "launcher/spec/step_spec.h"

namespace slipway {

// Absolute, each once, in the order in which they are needed.
std::vector<std::string> FoldersOf(const StepSpec& spec);

// Returns when the file system has answered, whatever it says: a folder that is missing or closed to the user
// is for others to judge. Asks the server and not what the kernel remembers of it.
void LookAtFolder(const std::string& path);

// Loop's thread only; one look at a time. Destroying it drops the answer.
class FolderProbe {
 public:
  // `silent`: the folder that did not answer; empty: all have.
  using Done = std::function<void(std::string silent)>;
  explicit FolderProbe(Loop& loop) : loop_(loop) {}
  ~FolderProbe();
  FolderProbe(const FolderProbe&) = delete;
  FolderProbe& operator=(const FolderProbe&) = delete;

  // `look` is called on the other thread and may hang. `done` comes from the loop, once.
  Result<> Begin(std::vector<std::string> folders, std::chrono::nanoseconds deadline, Done done,
                 std::function<void(const std::string&)> look = LookAtFolder);

 private:
  struct Shared;
  void Finish(std::string silent);

  Loop& loop_;
  std::shared_ptr<Shared> shared_;  // with the thread
  Loop::WatchId watch_;
  Loop::TimerId timer_;
  Done done_;
};

}  // namespace slipway
