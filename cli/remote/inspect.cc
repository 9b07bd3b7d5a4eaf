// SPDX-License-Identifier: Apache-2.0
// slipway inspect: what is in an image file. It is asked in scripts, often, and needs none of the libraries
// that slipway-images spends 7 ms to load.
#include "imagestore/build/inspect.h"

#include "base/text/units.h"
#include "cli/remote/subcommand.h"
#include "cli/show/table.h"

namespace slipway::cli {
namespace {

Command Declare() {
  return {.name = "slipway inspect",
          .summary = "show an image's labels and scripts",
          .examples = {{"slipway inspect mpi.sif", "for people"},
                       {"slipway inspect --json mpi.sif", "for programs"},
                       {"slipway inspect --deffile mpi.sif", "the recipe it was built from"}},
          .options = {{.name = "deffile", .letter = 'd', .help = "only the recipe"},
                      {.name = "runscript", .letter = 'r', .help = "only the runscript"},
                      {.name = "environment", .letter = 'e', .help = "only the environment"},
                      {.name = "digest", .help = "also the digests, for which all of it is read"},
                      JsonOption()},
          .positionals = {{.name = "IMAGE", .arity = Positional::kOne, .complete = "file"}}};
}

std::string Section(const char* name, const std::string& text) {
  if (text.empty()) return {};
  return Cat("\n", name, ":\n", text, text.back() == '\n' ? "" : "\n");
}

Result<int> Inspect(const Parsed& options) {
  const std::string& path = options.positionals()[0];
  auto it = TRY_CONTEXT(build::Inspect(path, {.digests = options.Has("digest")}), path);
  if (options.Has("json")) {
    std::string json = build::InspectionJson(it);
    Print(json.ends_with("\n") ? json : json + "\n");
    return 0;
  }
  for (auto& [option, text] :
       {std::pair{"deffile", it.deffile}, {"runscript", it.runscript}, {"environment", it.environment}}) {
    if (!options.Has(option)) continue;
    Print(text);
    return 0;
  }
  std::string text = Cat("format      ", it.format, "\narch        ", it.arch, "\nsize        ",
                         FormatBytes(it.size), "\nsquashfs    ", FormatBytes(it.partition_size), ", ",
                         it.compressor, "\nshell       ", it.has_shell ? it.shell_arch : "none", "\n");
  if (!it.digest.empty()) text += Cat("digest      ", it.digest, "\npartition   ", it.partition_digest, "\n");
  for (auto& [key, value] : it.labels)
    text += Cat("label       ", Printable(key), "=", Printable(value), "\n");
  Print(text + Section("help", it.help) + Section("runscript", it.runscript) +
        Section("environment", it.environment));
  return 0;
}

}  // namespace

const Subcommand kInspect{{"inspect"}, Declare, Inspect};

}  // namespace slipway::cli
