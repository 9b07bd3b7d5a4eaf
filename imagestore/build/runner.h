// SPDX-License-Identifier: Apache-2.0
// A build runs programs that other people wrote, some of them as root of the image. Each runs in namespaces
// of its own, so that its mounts and its left-over daemons end with it, and its output is passed on line by
// line.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/os/process.h"
#include "base/result/result.h"

namespace slipway::build {

struct RunOptions {
  std::vector<std::string> argv;  // argv[0] with a slash is taken inside `root`, when there is one
  std::vector<std::string> env;
  std::string
      root;  // empty: the host's; else pivot_root there, with /proc, /dev, /sys and the host's resolv.conf
  std::function<void(std::string_view)> log;  // each line of stdout and stderr
  const std::atomic<bool>* cancelled = nullptr;
};

struct RunOutcome {
  ExitStatus status;
  std::vector<std::string> last_lines;  // at most 10
};

// Runs to the end. kCancelled when `cancelled` became true: everything that was started is dead then.
Result<RunOutcome> Run(const RunOptions& options);

}  // namespace slipway::build
