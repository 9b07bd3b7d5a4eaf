// SPDX-License-Identifier: Apache-2.0
// slipway build, cache, pull, push, overlay, registry.
#include "cli/images/declared/declared.h"
#include "cli/images/declared/foreign.h"

namespace slipway::cli {

namespace {
Option Json() { return {.name = "json", .help = "print one JSON object"}; }
Option Text(const char* name, const char* value_name, const char* help) {
  return {.name = name, .type = Option::kString, .value_name = value_name, .help = help};
}
// For scripts that say which file has the registry's passwords, and its older spelling of plain HTTP.
Option AuthFile() {
  return {.name = "authfile",
          .type = Option::kString,
          .value_name = "FILE",
          .help = "where registries' passwords are; default: ~/.docker/config.json and its like",
          .complete = "file"};
}
Option NoHttps() { return {.name = "nohttps", .help = "the same as --no-https", .hidden = true}; }
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
          .options = WithApptainers(
              "build", {{.name = "force", .letter = 'F', .help = "replace OUT.sif when it is there"},
                        {.name = "notest", .letter = 'T', .help = "leave out the recipe's %test"},
                        {.name = "build-arg",
                         .type = Option::kList,
                         .value_name = "NAME=VALUE",
                         .help = "what {{ NAME }} stands for in the recipe"},
                        {.name = "build-arg-file",
                         .type = Option::kString,
                         .value_name = "FILE",
                         .help = "the same, a line NAME=VALUE each; --build-arg wins",
                         .complete = "file"},
                        Text("arch", "ARCH", "of what a registry offers; default: this machine's"),
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
                        NoHttps(),
                        AuthFile(),
                        {.name = "quiet", .letter = 'q', .help = "only errors"},
                        Json()}),
          .positionals = {{.name = "OUT.sif", .arity = Positional::kOne, .complete = "file"},
                          {.name = "RECIPE|DIR|SOURCE", .arity = Positional::kOne, .complete = "file"}},
          .notes = kSources};
}

Command DeclareCacheLs() {
  return {
      .name = "slipway cache ls",
      .summary = "list what pulls and builds have kept",
      .examples = {{"slipway cache ls", "used longest ago first"}},
      .options = WithApptainers("cache ls", {Json()}),
      .notes =
          "It is in $SLIPWAY_CACHE, else $XDG_CACHE_HOME/slipway, else ~/.cache/slipway. Layers and images\n"
          "take up at most $SLIPWAY_CACHE_MAX (20G; 0: no bound): those used longest ago go first.\n"};
}

Command DeclareCacheClean() {
  return {.name = "slipway cache clean",
          .summary = "take away what pulls and builds have kept",
          .examples = {{"slipway cache clean", "all of it"},
                       {"slipway cache clean --days 30 --type layer", "layers that nobody used for a month"}},
          .options = WithApptainers("cache clean",
                                    {Text("days", "N", "only what was not used for N days"),
                                     {.name = "type",
                                      .type = Option::kString,
                                      .value_name = "TYPE",
                                      .help = "only layer, image or build",
                                      .complete = "layer|image|build"},
                                     {.name = "dry-run", .letter = 'n', .help = "only say what would go"},
                                     Json()}),
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
      .options = WithApptainers(
          "pull", {{.name = "force", .letter = 'F', .help = "replace NAME when it is there"},
                   {.name = "name",
                    .letter = 'n',
                    .type = Option::kString,
                    .value_name = "NAME",
                    .help = "what the file is called",
                    .complete = "file"},
                   {.name = "dir",
                    .type = Option::kString,
                    .value_name = "DIR",
                    .help = "where the file goes; default: here",
                    .complete = "dir"},
                   Text("arch", "ARCH", "of a multi-architecture image; default: this machine's"),
                   Text("comp", "NAME", "compression: zstd (default), gzip, xz or lz4"),
                   Text("max-bytes", "SIZE", "refuse an image whose files have more (default 256G)"),
                   Text("max-entries", "N", "refuse an image of more files (default 4000000)"),
                   {.name = "keep-ids", .help = "keep the owners of the files; default: all become root's"},
                   {.name = "no-https", .help = "ask the registry by plain HTTP"},
                   NoHttps(),
                   AuthFile(),
                   {.name = "disable-cache", .help = "leave nothing in the cache"},
                   {.name = "quiet", .letter = 'q', .help = "only errors"},
                   Json()}),
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
          .options = WithApptainers("push", {{.name = "no-https", .help = "ask the registry by plain HTTP"},
                                             NoHttps(),
                                             AuthFile(),
                                             {.name = "quiet", .letter = 'q', .help = "only errors"},
                                             Json()}),
          .positionals = {{.name = "FILE", .arity = Positional::kOne, .complete = "file"},
                          {.name = "DESTINATION", .arity = Positional::kOne}}};
}

Command DeclareFetch() {
  return {.name = "slipway fetch",
          .summary = "bring an image into the user's cache and print its path",
          .examples = {{"slipway fetch docker://debian:12", ""}},
          .options = {{.name = "no-https", .help = "ask the registry by plain HTTP"}, NoHttps(), AuthFile()},
          .positionals = {{.name = "SOURCE", .arity = Positional::kOne}}};
}

Command DeclareOverlayCreate() {
  return {.name = "slipway overlay create",
          .summary = "make an ext3 image that a container writes into (exec --overlay)",
          .examples = {{"slipway overlay create --size 1024 work.img", "1 GiB"},
                       {"slipway exec --overlay work.img tools.sif touch /opt/mine",
                        "what changes is in work.img"},
                       {"slipway overlay create --size 512 tools.sif",
                        "in the SIF itself; it is only read from there"}},
          .options = {{.name = "size",
                       .letter = 's',
                       .type = Option::kString,
                       .value_name = "MIB",
                       .help = "in MiB without a suffix (K, M, G, T); default: 64"},
                      {.name = "create-dir",
                       .type = Option::kList,
                       .value_name = "DIR",
                       .help = "a folder in it that is yours, where the image has root's"},
                      {.name = "sparse", .letter = 'S', .help = "take up only what is written"},
                      {.name = "fakeroot", .letter = 'f', .help = "the same", .hidden = true}},
          .positionals = {{.name = "FILE",
                           .arity = Positional::kOne,
                           .help = "a new file, or a SIF that is there",
                           .complete = "file"}},
          .notes = "It is yours alone to write into; with --fakeroot, root's inside."};
}

namespace {
constexpr char kWhereLogins[] =
    "Passwords are kept in $REGISTRY_AUTH_FILE, else $DOCKER_CONFIG/config.json, else ~/.docker/config.json, "
    "or by the\n"
    "helper program that it names, and are those of docker and podman, too.";
Positional TheRegistry() {
  return {.name = "REGISTRY",
          .arity = Positional::kOne,
          .help = "HOST[:PORT], with or without docker:// or oras://"};
}
}  // namespace

Command DeclareRegistryLogin() {
  return {
      .name = "slipway registry login",
      .summary = "try a user and password at a registry, and keep them",
      .examples = {{"slipway registry login --username alice registry.example.org", "asks for the password"},
                   {"slipway registry login --username bot --password-stdin registry.example.org < token",
                    "in scripts"}},
      .options = {{.name = "username",
                   .letter = 'u',
                   .type = Option::kString,
                   .value_name = "NAME",
                   .help = "who you are there"},
                  {.name = "password-stdin", .help = "read the password from the standard input"},
                  {.name = "password",
                   .letter = 'p',
                   .type = Option::kString,
                   .value_name = "TEXT",
                   .help = "the password; others may see it in `ps`",
                   .hidden = true},
                  {.name = "no-https", .help = "ask the registry by plain HTTP"},
                  NoHttps(),
                  {.name = "insecure", .help = "the same", .hidden = true},
                  AuthFile()},
      .positionals = {TheRegistry()},
      .notes = kWhereLogins};
}

Command DeclareRegistryLogout() {
  return {.name = "slipway registry logout",
          .summary = "forget a registry's password",
          .examples = {{"slipway registry logout registry.example.org", ""}},
          .options = {AuthFile()},
          .positionals = {TheRegistry()},
          .notes = kWhereLogins};
}

Command DeclareRegistryLs() {
  return {.name = "slipway registry ls",
          .summary = "list the registries whose passwords are kept",
          .examples = {{"slipway registry ls", ""}},
          .options = {AuthFile(), Json()},
          .notes = kWhereLogins};
}

}  // namespace slipway::cli
