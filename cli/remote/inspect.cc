// SPDX-License-Identifier: Apache-2.0
// slipway inspect, slipway sif list: what is in an image file.
#include "imagestore/build/inspect.h"

#include <fcntl.h>

#include "base/os/fd.h"
#include "base/text/units.h"
#include "cli/remote/subcommand.h"
#include "cli/show/table.h"
#include "imagestore/sif/sif.h"

namespace slipway::cli {
namespace {

Command DeclareInspect() {
  return {.name = "slipway inspect",
          .summary = "show an image's labels, scripts and digests",
          .examples = {{"slipway inspect mpi.sif", "for people"},
                       {"slipway inspect --json mpi.sif", "for programs"},
                       {"slipway inspect --deffile mpi.sif", "the recipe it was built from"}},
          .options = {{.name = "deffile", .letter = 'd', .help = "only the recipe"},
                      {.name = "runscript", .letter = 'r', .help = "only the runscript"},
                      {.name = "environment", .letter = 'e', .help = "only the environment"},
                      JsonOption()},
          .positionals = {{.name = "IMAGE", .arity = Positional::kOne, .complete = "file"}}};
}

std::string Section(const char* name, const std::string& text) {
  if (text.empty()) return {};
  return Cat("\n", name, ":\n", text, text.back() == '\n' ? "" : "\n");
}

Result<int> Inspect(const Parsed& options) {
  const std::string& path = options.positionals()[0];
  auto it = TRY_CONTEXT(build::Inspect(path), path);
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
                         FormatBytes(it.size), "\ndigest      ", it.digest, "\nsquashfs    ",
                         it.partition_digest, " (", FormatBytes(it.partition_size), ", ", it.compressor,
                         ")\nshell       ", it.has_shell ? it.shell_arch : "none", "\n");
  for (auto& [key, value] : it.labels)
    text += Cat("label       ", Printable(key), "=", Printable(value), "\n");
  Print(text + Section("help", it.help) + Section("runscript", it.runscript) +
        Section("environment", it.environment));
  return 0;
}

Command DeclareList() {
  return {.name = "slipway sif list",
          .summary = "list the objects in a SIF file",
          .examples = {{"slipway sif list mpi.sif", "one object a line"}},
          .positionals = {{.name = "FILE", .arity = Positional::kOne, .complete = "file"}}};
}

Result<int> List(const Parsed& options) {
  const std::string& path = options.positionals()[0];
  UniqueFd file = TRY(Open(path, O_RDONLY | O_NONBLOCK));
  auto image = TRY_CONTEXT(sif::Read(file.get()), path);
  Print(sif::ListText(image));
  return 0;
}

}  // namespace

const Subcommand kInspect{{"inspect"}, DeclareInspect, Inspect}, kSifList{{"sif", "list"}, DeclareList, List};

}  // namespace slipway::cli
