// SPDX-License-Identifier: Apache-2.0
// slipway build, inspect, pull, push.
#include "cli/images/declared/declared.h"

namespace slipway::cli {

namespace {
Option Json() { return {.name = "json", .help = "print one JSON object"}; }
Option Text(const char* name, const char* value_name, const char* help) {
  return {.name = name, .type = Option::kString, .value_name = value_name, .help = help};
}
constexpr char kSources[] =
    "Sources: docker://[HOST/]NAME[:TAG|@DIGEST], oras://HOST/NAME[:TAG], oci:DIR[:TAG], "
    "oci-archive:FILE[:TAG],\n"
    "docker-archive:FILE[:TAG], http://… and https://… of a SIF. Passwords are read from "
    "~/.docker/config.json and "
    "its helpers.";
}  // namespace

Command DeclareBuild() {
  return {.name = "slipway build",
          .summary = "build a SIF from a recipe, a directory or another image",
          .examples = {{"slipway build mpi.sif mpi.def", "Bootstrap: docker, debootstrap, localimage, …"},
                       {"slipway build tree.sif ./tree", "a directory as it is"},
                       {"slipway build alpine.sif docker://alpine:3.20", "the same as `slipway pull`"}},
          .options = {{.name = "force", .letter = 'F', .help = "replace OUT.sif when it is there"},
                      {.name = "notest", .letter = 'T', .help = "leave out the recipe's %test"},
                      {.name = "build-arg",
                       .type = Option::kList,
                       .value_name = "NAME=VALUE",
                       .help = "what {{ NAME }} stands for in the recipe"},
                      {.name = "sandbox", .letter = 's', .help = "make a directory instead of a SIF"},
                      {.name = "tmpdir",
                       .type = Option::kString,
                       .value_name = "DIR",
                       .help = "where to work; default: $TMPDIR, else beside OUT.sif",
                       .complete = "dir"},
                      Text("comp", "NAME", "compression: zstd (default), gzip, xz or lz4"),
                      Text("max-bytes", "SIZE", "refuse an image whose files have more (default 256G)"),
                      Text("max-entries", "N", "refuse an image of more files (default 4000000)"),
                      {.name = "no-cache", .help = "do every section; keep nothing for the next build"},
                      {.name = "disable-cache", .help = "the same", .hidden = true},
                      Text("cache-max", "SIZE", "what earlier builds may take up (default 20G)"),
                      {.name = "no-https", .help = "ask the registry by plain HTTP"},
                      {.name = "quiet", .letter = 'q', .help = "only errors"},
                      Json()},
          .positionals = {{.name = "OUT.sif", .arity = Positional::kOne, .complete = "file"},
                          {.name = "RECIPE|DIR|SOURCE", .arity = Positional::kOne, .complete = "file"}},
          .notes = kSources};
}

Command DeclareCacheLs() {
  return {
      .name = "slipway cache ls",
      .summary = "list what pulls and builds have kept",
      .examples = {{"slipway cache ls", "used longest ago first"}},
      .options = {Json()},
      .notes =
          "It is in $SLIPWAY_CACHE, else $XDG_CACHE_HOME/slipway, else ~/.cache/slipway. Layers and images\n"
          "take up at most $SLIPWAY_CACHE_MAX (20G; 0: no bound): those used longest ago go first.\n"};
}

Command DeclareCacheClean() {
  return {.name = "slipway cache clean",
          .summary = "take away what pulls and builds have kept",
          .examples = {{"slipway cache clean", "all of it"},
                       {"slipway cache clean --days 30 --type layer", "layers that nobody used for a month"}},
          .options = {Text("days", "N", "only what was not used for N days"),
                      {.name = "type",
                       .type = Option::kString,
                       .value_name = "TYPE",
                       .help = "only layer, image or build",
                       .complete = "layer|image|build"},
                      {.name = "dry-run", .letter = 'n', .help = "only say what would go"},
                      Json()},
          .notes = "What a pull or build is bringing at this moment stays.\n"};
}

Command DeclarePull() {
  return {
      .name = "slipway pull",
      .summary = "get an image from a registry or an archive as a SIF",
      .examples = {{"slipway pull docker://debian:12", "debian_12.sif"},
                   {"slipway pull mpi.sif oras://registry.example.org/hpc/mpi:5", ""},
                   {"slipway pull --arch arm64 tools.sif docker://registry.example.org/tools", ""},
                   {"slipway pull app.sif docker-archive:app.tar", "what `docker save` wrote"}},
      .options = {{.name = "force", .letter = 'F', .help = "replace NAME when it is there"},
                  Text("arch", "ARCH", "of a multi-architecture image; default: this machine's"),
                  Text("comp", "NAME", "compression: zstd (default), gzip, xz or lz4"),
                  Text("max-bytes", "SIZE", "refuse an image whose files have more (default 256G)"),
                  Text("max-entries", "N", "refuse an image of more files (default 4000000)"),
                  {.name = "keep-ids", .help = "keep the owners of the files; default: all become root's"},
                  {.name = "no-https", .help = "ask the registry by plain HTTP"},
                  {.name = "disable-cache", .help = "leave nothing in the cache"},
                  {.name = "quiet", .letter = 'q', .help = "only errors"},
                  Json()},
      .positionals = {{.name = "NAME|SOURCE", .arity = Positional::kOne, .complete = "file"},
                      {.name = "SOURCE", .arity = Positional::kOptional}},
      .notes = kSources};
}

Command DeclarePush() {
  return {.name = "slipway push",
          .summary = "put a SIF into a registry",
          .examples = {{"slipway push mpi.sif oras://registry.example.org/hpc/mpi:5", "the file as it is"},
                       {"slipway push mpi.sif docker://registry.example.org/hpc/mpi:5",
                        "its root file system as an image of one layer"}},
          .options = {{.name = "no-https", .help = "ask the registry by plain HTTP"},
                      {.name = "quiet", .letter = 'q', .help = "only errors"},
                      Json()},
          .positionals = {{.name = "FILE", .arity = Positional::kOne, .complete = "file"},
                          {.name = "DESTINATION", .arity = Positional::kOne}}};
}

Command DeclareFetch() {
  return {.name = "slipway fetch",
          .summary = "bring an image into the user's cache and print its path",
          .examples = {{"slipway fetch docker://debian:12", ""}},
          .options = {{.name = "no-https", .help = "ask the registry by plain HTTP"}},
          .positionals = {{.name = "SOURCE", .arity = Positional::kOne}}};
}

}  // namespace slipway::cli
