// SPDX-License-Identifier: Apache-2.0
#include "imagestore/build/sections.h"

#include <glob.h>
#include <sys/stat.h>

#include <cstdlib>
#include <memory>

#include "base/os/fd.h"
#include "base/text/text.h"
#include "imagestore/build/bootstrap.h"

namespace slipway::build {

namespace {

constexpr char kScript[] = "/.build.script";

std::string BaseName(std::string path) {
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  return path.substr(path.find_last_of('/') + 1);
}

Result<std::vector<std::string>> Glob(const std::string& pattern) {
  glob_t found{};
  int code = ::glob(pattern.c_str(), GLOB_BRACE | GLOB_TILDE, nullptr, &found);
  std::vector<std::string> paths(found.gl_pathv, found.gl_pathv + (code == 0 ? found.gl_pathc : 0));
  ::globfree(&found);
  if (paths.empty()) return Fail(Code::kNotFound, "%files: no such file: ", pattern);
  return paths;
}

Result<> CopyLine(const RootDir& root, const FileCopy& copy) {
  std::vector<std::string> sources = TRY(Glob(copy.source));
  std::string destination = copy.destination.empty() ? copy.source : copy.destination;
  if (!destination.starts_with('/')) destination.insert(0, "/");
  bool into = destination.ends_with('/') || sources.size() > 1 || root.IsDirectory(destination);
  // As with cp: a directory copied to its own name becomes that, not a directory below it.
  if (copy.destination.empty() && sources.size() == 1) into = false;
  std::string parent = into ? destination : destination.substr(0, destination.find_last_of('/'));
  TRY(root.MakeDirectories(parent));
  for (const std::string& source : sources) {
    TRY(root.CopyIn(source, into ? Cat(destination, "/", BaseName(source)) : destination));
  }
  return {};
}

std::vector<std::string> SectionEnvironment() {
  std::vector<std::string> environment = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                                          "HOME=/root", "LC_ALL=C",
                                          "APPTAINER_ENVIRONMENT=/.singularity.d/env/91-environment.sh",
                                          "SINGULARITY_ENVIRONMENT=/.singularity.d/env/91-environment.sh"};
  for (const char* name : {"TERM", "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY",
                           "NO_PROXY", "SOURCE_DATE_EPOCH"}) {
    if (const char* value = std::getenv(name)) environment.push_back(Cat(name, "=", value));
  }
  return environment;
}

Result<> RunSection(const PopulateOptions& options, const RootDir& root, const std::string& name,
                    const Section& section) {
  if (!section) return {};
  const Recipe& recipe = *options.recipe;
  if (options.progress) options.progress({name, Cat("running ", name, " (line ", section.line, ")")});
  std::string shell = section.shell.empty() ? "/bin/sh" : section.shell;
  if (!root.Exists(shell))
    return Fail(Code::kFailedPrecondition, recipe.name, ":", section.line, ": ", name, " needs ", shell,
                ", which the image does not have");
  TRY(root.WriteFile(kScript, section.text, 0755));
  RunOptions run;
  run.argv = section.shell.empty() ? std::vector<std::string>{shell, "-ex", kScript}
                                   : std::vector<std::string>{shell, kScript};
  run.env = SectionEnvironment();
  run.root = options.root;
  run.log = options.log;
  run.cancelled = options.cancelled;
  auto outcome = Run(run);
  TRY(root.Remove(kScript));
  if (!outcome)
    return Failure(std::move(outcome).error().Context(Cat(recipe.name, ":", section.line, ": ", name)));
  if (outcome->status.exit_code() == 0) return {};
  return Fail(Code::kFailedPrecondition, recipe.name, ":", section.line, ": ", name,
              " failed with exit code ", outcome->status.exit_code(), "; its last lines:\n  ",
              Join(outcome->last_lines, "\n  "));
}

Result<> Bootstrap(const PopulateOptions& options) {
  const Recipe& recipe = *options.recipe;
  RunOptions run;
  run.env = {
      Cat("PATH=", std::getenv("PATH") != nullptr ? std::getenv("PATH") : "/usr/sbin:/usr/bin:/sbin:/bin"),
      "LC_ALL=C", "TMPDIR=" + options.scratch};
  run.log = options.log;
  run.cancelled = options.cancelled;
  if (recipe.bootstrap == "localimage") {
    if (options.progress) options.progress({"bootstrap", "unpacking " + recipe.from});
    return UnpackLocalImage(recipe.from, options.root, options.cancelled);
  }
  TRY(Debootstrap(recipe, options.root, run));
  // mmdebstrap makes device nodes; a container's /dev is a mount.
  return RemoveTree(options.root + "/dev");
}

}  // namespace

Result<> Populate(const PopulateOptions& options) {
  TRY(Bootstrap(options));
  if (::chmod(options.root.c_str(), 0755) < 0) return ErrnoFail("chmod", options.root);
  RootDir root = TRY(RootDir::Open(options.root));
  if (options.recipe->bootstrap == "debootstrap") {
    // This host's, which mmdebstrap copied; a container gets its own.
    TRY(root.Remove("/etc/resolv.conf"));
    TRY(root.Remove("/etc/hostname"));
  }
  TRY(WriteMetadata(root, *options.recipe, options.labels));
  if (!options.recipe->files.empty() && options.progress)
    options.progress({"%files", Cat("copying ", options.recipe->files.size(), " entries")});
  for (const FileCopy& copy : options.recipe->files) {
    TRY_CONTEXT(CopyLine(root, copy), Cat(options.recipe->name, ":", copy.line));
  }
  TRY(RunSection(options, root, "%post", options.recipe->post));
  if (options.run_tests) TRY(RunSection(options, root, "%test", options.recipe->test));
  // Settings of this host (proxy, clock) that only the build needed.
  TRY(root.Remove("/etc/apt/apt.conf.d/99mmdebstrap"));
  return MakeMountPoints(root);
}

}  // namespace slipway::build
