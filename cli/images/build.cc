// SPDX-License-Identifier: Apache-2.0
// slipway build: a SIF from a recipe or a directory, without any daemon.
#include "imagestore/build/build.h"

#include <unistd.h>

#include <atomic>
#include <csignal>

#include "base/os/fd.h"
#include "base/text/units.h"
#include "cli/images/subcommands.h"
#include "cli/show/progress.h"

namespace slipway::cli {
namespace {

std::atomic<bool> g_cancelled = false;

Result<int> Run(const Parsed& options) {
  build::BuildOptions wanted;
  wanted.output = options.positionals()[0];
  wanted.source = options.positionals()[1];
  wanted.force = options.Has("force");
  wanted.run_tests = !options.Has("notest");
  wanted.temp_parent = options.Value("tmpdir");
  wanted.cancelled = &g_cancelled;
  for (int signal_number : {SIGINT, SIGTERM, SIGHUP})
    ::signal(signal_number, [](int) { g_cancelled = true; });
  bool quiet = options.Has("quiet") || options.Has("json");
  std::string phase;
  Progress packing("packing");
  if (!quiet) {
    wanted.progress = [&](const build::BuildProgress& now) {
      if (now.total != 0) packing.Show(now.done, now.total);
      if (std::exchange(phase, now.phase) == now.phase) return;
      [[maybe_unused]] auto written =
          WriteAll(2, Cat(now.phase, now.detail.empty() ? "" : ": ", now.detail, "\n"));
    };
    wanted.log = [](std::string_view line) {
      std::string text(line);
      if (text.empty() || text.back() != '\n') text += '\n';
      [[maybe_unused]] auto written = WriteAll(2, "  " + text);
    };
  }
  auto built = build::Build(wanted);
  if (!built && built.error().code == Code::kCancelled) {
    PrintError(built.error());
    return 130;
  }
  build::BuildSummary summary = TRY(std::move(built));
  if (options.Has("json")) {
    Print(Cat("{\"digest\": \"", summary.digest, "\", \"bytes\": ", summary.size,
              ", \"entries\": ", summary.entries, "}\n"));
  } else if (!quiet) {
    Print(Cat(wanted.output, "  ", FormatBytes(summary.size), "  ", summary.digest, "\n"));
  }
  return 0;
}

}  // namespace

const Subcommand kBuild{{"build"}, DeclareBuild, Run};

}  // namespace slipway::cli
