// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <cstdio>
#include <thread>

#include "base/text/text.h"
#include "base/text/units.h"
#include "cli/gpu/subcommands.h"
#include "hooks/gpu/gpu_use.h"
#include "hooks/gpu/nvml.h"

namespace slipway::cli {
namespace {

// Until whoever reads is gone: SIGPIPE ends us, or the write fails.
Result<int> Use(const Parsed& options) {
  constexpr std::uint64_t kLongest_ms = 3'600'000;
  auto every = TRY_CONTEXT(ParseNumber(options.Value("every-ms", "1000"), 10, kLongest_ms), "--every-ms");
  if (options.positionals().empty()) return Fail(Code::kInvalidArgument, "which GPU? Its UUID is missing");
  HostTree host = TRY(HostTree::At(options.Value("host-root", "/")));
  auto source = TRY(GpuUseSource::Open(NvmlLibraryOf(host)));
  for (;;) {
    std::string lines;
    for (const GpuUse& use : source->Look(options.positionals())) lines += LineOf(use) + "\n";
    if (std::fputs(lines.c_str(), stdout) < 0 || std::fflush(stdout) != 0) return 0;
    std::this_thread::sleep_for(std::chrono::milliseconds(every));
  }
}

}  // namespace

const Subcommand kGpuUse{{kGpuWord, "use"}, DeclareGpuUse, Use};

}  // namespace slipway::cli
