// SPDX-License-Identifier: Apache-2.0
// slipway build, inspect.
#include "cli/images/declared/declared.h"

namespace slipway::cli {

namespace {
Option Json() { return {.name = "json", .help = "print one JSON object"}; }
}  // namespace

Command DeclareBuild() {
  return {.name = "slipway build",
          .summary = "build a SIF from a recipe or a directory",
          .examples = {{"slipway build mpi.sif mpi.def", "Bootstrap: debootstrap or localimage, …"},
                       {"slipway build tree.sif ./tree", "a directory as it is"}},
          .options = {{.name = "force", .letter = 'F', .help = "replace OUT.sif when it is there"},
                      {.name = "notest", .letter = 'T', .help = "leave out the recipe's %test"},
                      {.name = "tmpdir",
                       .type = Option::kString,
                       .value_name = "DIR",
                       .help = "where to work; default: $TMPDIR, else beside OUT.sif",
                       .complete = "dir"},
                      {.name = "quiet", .letter = 'q', .help = "only errors"},
                      Json()},
          .positionals = {{.name = "OUT.sif", .arity = Positional::kOne, .complete = "file"},
                          {.name = "RECIPE|DIR", .arity = Positional::kOne, .complete = "file"}}};
}

Command DeclareInspect() {
  return {.name = "slipway inspect",
          .summary = "show an image's labels, scripts and digests",
          .examples = {{"slipway inspect mpi.sif", "for people"},
                       {"slipway inspect --json mpi.sif", "for programs"},
                       {"slipway inspect --deffile mpi.sif", "the recipe it was built from"}},
          .options = {{.name = "deffile", .letter = 'd', .help = "only the recipe"},
                      {.name = "runscript", .letter = 'r', .help = "only the runscript"},
                      {.name = "environment", .letter = 'e', .help = "only the environment"},
                      Json()},
          .positionals = {{.name = "IMAGE", .arity = Positional::kOne, .complete = "file"}}};
}

}  // namespace slipway::cli
