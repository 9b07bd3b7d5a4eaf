// SPDX-License-Identifier: Apache-2.0
// What pull, fetch and build share: options read into imagestore/oci's, Ctrl-C, and a bar for each layer.
#pragma once

#include <atomic>
#include <string>

#include "cli/options/options.h"
#include "cli/show/bars.h"
#include "imagestore/oci/pull.h"

namespace slipway::cli {

// SIGINT, SIGTERM and SIGHUP set Cancelled() from now on.
void CancelOnSignals();
const std::atomic<bool>& Cancelled();
// The same, and what waits in read(2) is woken.
void InterruptOnSignals();

class PullProgress {
 public:
  explicit PullProgress(bool quiet) : quiet_(quiet) {}
  void Show(const std::string& what, std::uint64_t done, std::uint64_t total);
  void End() { bars_.Clear(); }

 private:
  bool quiet_;
  Bars bars_;
};

void UseAuthFile(const Parsed& options);  // --authfile, for whoever asks for passwords from now on
// `progress` is borrowed by what is returned.
Result<oci::PullOptions> PullOptionsOf(const Parsed& options, PullProgress& progress);

}  // namespace slipway::cli
