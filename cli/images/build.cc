// SPDX-License-Identifier: Apache-2.0
// slipway build: a SIF from a recipe or a directory, without any daemon.
#include "imagestore/build/build.h"

#include <unistd.h>

#include <atomic>
#include <csignal>

#include "base/os/fd.h"
#include "base/text/units.h"
#include "cli/images/pull_options.h"
#include "cli/images/subcommands.h"
#include "cli/show/progress.h"

namespace slipway::cli {
namespace {

// `build OUT docker://…` is a pull.
Result<int> BuildFromSource(const Parsed& options) {
  const std::string& output = options.positionals()[0];
  if (!options.Has("force") && ::access(output.c_str(), F_OK) == 0)
    return Fail(Code::kAlreadyExists, output, " is there already; use --force to replace it");
  oci::Reference reference = TRY(oci::ParseReference(options.positionals()[1]));
  bool quiet = options.Has("quiet") || options.Has("json");
  PullProgress progress(quiet);
  oci::PullOptions wanted = TRY(PullOptionsOf(options, progress));
  auto pulled = oci::Pull(reference, output, wanted);
  progress.End();
  if (!pulled && pulled.error().code == Code::kCancelled) {
    PrintError(pulled.error());
    return 130;
  }
  auto done = TRY(std::move(pulled));
  if (options.Has("json")) {
    Print(Cat("{\"digest\": \"", done.digest, "\", \"bytes\": ", done.size, "}\n"));
  } else if (!quiet) {
    Print(Cat(output, "  ", FormatBytes(done.size), "  ", done.digest, "\n"));
  }
  return 0;
}

Result<int> Run(const Parsed& options) {
  CancelOnSignals();
  if (oci::LooksLikeReference(options.positionals()[1])) return BuildFromSource(options);
  build::BuildOptions wanted;
  wanted.output = options.positionals()[0];
  wanted.source = options.positionals()[1];
  wanted.force = options.Has("force");
  wanted.run_tests = !options.Has("notest");
  wanted.temp_parent = options.Value("tmpdir");
  wanted.cancelled = &Cancelled();
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
