// SPDX-License-Identifier: Apache-2.0
#include "cli/gpu/declared/declared.h"

namespace slipway::cli {
namespace {

Option HostRoot() {
  return {.name = "host-root",
          .type = Option::kString,
          .value_name = "DIR",
          .help = "look at a recorded host's tree instead of this host",
          .complete = "dir",
          .hidden = true};
}

}  // namespace

Command DeclareGpuList() {
  return {.name = "slipway gpu list",
          .summary = "show the GPUs of this host",
          .examples = {{"slipway gpu list", "one a line, with what is wrong with those that cannot be used"},
                       {"slipway gpu list --json", "with UUIDs, device nodes, links and MIG devices"}},
          .options = {{.name = "json", .help = "print one JSON object"}, HostRoot()},
          .notes = "Exit code: 0 when every GPU can be used, 1 when one cannot, 3 when there is none."};
}

Command DeclareGpuCdi() {
  return {.name = "slipway gpu cdi",
          .summary = "write a CDI file of this host's GPUs",
          .examples = {{"slipway gpu cdi > /etc/cdi/nvidia.json", "for this and other runtimes"},
                       {"slipway gpu cdi --vendor amd --output /etc/cdi/amd.json", "whole or not at all"}},
          .options = {{.name = "vendor",
                       .type = Option::kString,
                       .value_name = "VENDOR",
                       .help = "nvidia, amd or intel; needed where there are GPUs of several",
                       .complete = "nvidia|amd|intel"},
                      {.name = "output",
                       .letter = 'o',
                       .type = Option::kString,
                       .value_name = "FILE",
                       .help = "instead of standard output",
                       .complete = "file"},
                      HostRoot()},
          .notes =
              "The file is of this boot and this driver: write it anew when either changes. A file of the\n"
              "site in /etc/cdi or /var/run/cdi wins over what Slipway finds by itself."};
}

Command DeclareGpuUse() {
  return {.name = "slipway gpu use",
          .summary = "show again and again how much GPUs are used",
          .examples = {{"slipway gpu use GPU-9f3c…",
                        "every second a line: UUID, percent busy, bytes, millijoules"}},
          .options = {{.name = "every-ms",
                       .type = Option::kString,
                       .value_name = "N",
                       .help = "between two looks; 1000 unless said otherwise"},
                      HostRoot()},
          .positionals = {{.name = "UUID",
                           .arity = Positional::kMany,
                           .help = "as `slipway gpu list --json` has them"}},
          .notes =
              "NVIDIA's only, by the driver's library. \"-\" is what it does not say. Ends when nobody reads "
              "it."};
}

std::vector<Command> GpuCommands() { return {DeclareGpuList(), DeclareGpuCdi(), DeclareGpuUse()}; }

}  // namespace slipway::cli
