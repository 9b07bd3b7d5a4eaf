// SPDX-License-Identifier: Apache-2.0
#include "imagestore/build/sections.h"

#include <glob.h>
#include <sys/stat.h>

#include <cstdlib>
#include <memory>

#include "base/os/fd.h"
#include "base/text/text.h"
#include "imagestore/build/apps.h"
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

// The paths in a stage's tree that a pattern names. What a link outside the tree would add is not opened
// later.
Result<std::vector<std::string>> GlobIn(const std::string& stage_root, const std::string& pattern) {
  std::string absolute = pattern.starts_with('/') ? pattern : "/" + pattern;
  std::vector<std::string> paths;
  if (auto found = Glob(stage_root + absolute)) {
    for (const std::string& path : *found) paths.push_back(path.substr(stage_root.size()));
  } else {
    paths.push_back(absolute);  // an absolute link on the way: only the tree itself can follow it
  }
  return paths;
}

Result<> CopyLine(const PopulateOptions& options, const RootDir& root, const FileCopy& copy,
                  const std::string& default_folder) {
  auto stage = options.stages.find(copy.stage);
  bool of_stage = !copy.stage.empty();
  if (of_stage && stage == options.stages.end())
    return Fail(Code::kNotFound, "there is no stage ", copy.stage);
  std::vector<std::string> sources = TRY(of_stage ? GlobIn(stage->second, copy.source) : Glob(copy.source));
  std::string destination = copy.destination.empty() ? copy.source : copy.destination;
  if (!destination.starts_with('/')) destination = Cat(default_folder, "/", destination);
  bool into = destination.ends_with('/') || sources.size() > 1 || root.IsDirectory(destination);
  // As with cp: a directory copied to its own name becomes that, not a directory below it.
  if (copy.destination.empty() && sources.size() == 1) into = false;
  std::string parent = into ? destination : destination.substr(0, destination.find_last_of('/'));
  TRY(root.MakeDirectories(parent));
  for (const std::string& source : sources) {
    std::string target = into ? Cat(destination, "/", BaseName(source)) : destination;
    TRY(of_stage ? root.CopyFrom(TRY(RootDir::Open(stage->second)), source, target)
                 : root.CopyIn(source, target));
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

// %pre and %setup run where the build runs; %setup is told where the image's tree is.
Result<> RunOnHost(const PopulateOptions& options, const std::string& name, const Section& section) {
  if (!section) return {};
  const Recipe& recipe = *options.recipe;
  if (options.progress)
    options.progress({name, Cat("running ", name, " (line ", section.line, ") on this host")});
  std::string script = Cat(options.scratch, "/", name.substr(1));
  TRY(WriteFileAtomically(script, section.text, 0700));
  RunOptions run;
  run.argv = {section.shell.empty() ? "/bin/sh" : section.shell, "-ex", script};
  run.env = {
      Cat("PATH=", std::getenv("PATH") != nullptr ? std::getenv("PATH") : "/usr/sbin:/usr/bin:/sbin:/bin"),
      Cat("HOME=", std::getenv("HOME") != nullptr ? std::getenv("HOME") : "/"),
      "APPTAINER_ROOTFS=" + options.root, "SINGULARITY_ROOTFS=" + options.root};
  run.log = options.log;
  run.cancelled = options.cancelled;
  RunOutcome outcome = TRY_CONTEXT(Run(run), Cat(recipe.name, ":", section.line, ": ", name));
  if (outcome.status.exit_code() == 0) return {};
  return Fail(Code::kFailedPrecondition, recipe.name, ":", section.line, ": ", name,
              " failed with exit code ", outcome.status.exit_code(), "; its last lines:\n  ",
              Join(outcome.last_lines, "\n  "));
}

Result<> InstallApps(const PopulateOptions& options, const RootDir& root) {
  for (const App& app : options.recipe->apps) {
    TRY(WriteApp(root, app));
    for (const FileCopy& copy : app.files)
      TRY_CONTEXT(CopyLine(options, root, copy, AppFolder(app)), Cat(options.recipe->name, ":", copy.line));
    if (!app.install) continue;
    Section install = app.install;
    install.text = AppInstallScript(app);
    TRY(RunSection(options, root, "%appinstall " + app.name, install));
  }
  return {};
}

Result<> Bootstrap(const PopulateOptions& options) {
  const Recipe& recipe = *options.recipe;
  RunOptions run;
  run.env = {
      Cat("PATH=", std::getenv("PATH") != nullptr ? std::getenv("PATH") : "/usr/sbin:/usr/bin:/sbin:/bin"),
      "LC_ALL=C", "TMPDIR=" + options.scratch};
  run.log = options.log;
  run.cancelled = options.cancelled;
  if (recipe.bootstrap == "scratch") return {};
  if (recipe.HasBase()) {
    if (options.progress) options.progress({"bootstrap", "unpacking " + recipe.from});
    return UnpackLocalImage(recipe.base, options.root, options.cancelled);
  }
  TRY(Debootstrap(recipe, options.root, run));
  // mmdebstrap makes device nodes; a container's /dev is a mount.
  return RemoveTree(options.root + "/dev");
}

}  // namespace

Result<> Populate(const PopulateOptions& options) {
  TRY(RunOnHost(options, "%pre", options.recipe->pre));
  TRY(Bootstrap(options));
  if (::chmod(options.root.c_str(), 0755) < 0) return ErrnoFail("chmod", options.root);
  RootDir root = TRY(RootDir::Open(options.root));
  if (options.recipe->bootstrap == "debootstrap") {
    // This host's, which mmdebstrap copied; a container gets its own.
    TRY(root.Remove("/etc/resolv.conf"));
    TRY(root.Remove("/etc/hostname"));
  }
  TRY(WriteMetadata(root, *options.recipe, options.labels));
  TRY(RunOnHost(options, "%setup", options.recipe->setup));
  if (!options.recipe->files.empty() && options.progress)
    options.progress({"%files", Cat("copying ", options.recipe->files.size(), " entries")});
  for (const FileCopy& copy : options.recipe->files) {
    TRY_CONTEXT(CopyLine(options, root, copy, ""), Cat(options.recipe->name, ":", copy.line));
  }
  TRY(RunSection(options, root, "%post", options.recipe->post));
  TRY(InstallApps(options, root));
  if (options.run_tests) TRY(RunSection(options, root, "%test", options.recipe->test));
  // Settings of this host (proxy, clock) that only the build needed.
  TRY(root.Remove("/etc/apt/apt.conf.d/99mmdebstrap"));
  return MakeMountPoints(root);
}

}  // namespace slipway::build
