// SPDX-License-Identifier: Apache-2.0
// slipway inspect: what is in an image file.
#include "imagestore/build/inspect.h"

#include "base/text/units.h"
#include "cli/images/subcommands.h"
#include "cli/show/table.h"

namespace slipway::cli {
namespace {

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

const Subcommand kInspect{{"inspect"}, DeclareInspect, Inspect};

}  // namespace slipway::cli
