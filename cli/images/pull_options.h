// SPDX-License-Identifier: Apache-2.0
// What pull, fetch and build share: options read into imagestore/oci's, Ctrl-C, and a line that shows
// progress.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "cli/options/options.h"
#include "cli/show/progress.h"
#include "imagestore/oci/pull.h"

namespace slipway::cli {

// SIGINT, SIGTERM and SIGHUP set Cancelled() from now on.
void CancelOnSignals();
const std::atomic<bool>& Cancelled();

class PullProgress {
 public:
  explicit PullProgress(bool quiet) : quiet_(quiet) {}
  void Show(const char* phase, std::uint64_t done, std::uint64_t total);
  void End() { line_.reset(); }

 private:
  bool quiet_;
  std::string phase_;
  std::unique_ptr<Progress> line_;
};

// `progress` is borrowed by what is returned.
Result<oci::PullOptions> PullOptionsOf(const Parsed& options, PullProgress& progress);

}  // namespace slipway::cli
