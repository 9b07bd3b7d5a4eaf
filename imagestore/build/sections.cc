// SPDX-License-Identifier: Apache-2.0
#include "imagestore/build/sections.h"

#include <sys/stat.h>

#include <cstdlib>

#include "base/os/fd.h"
#include "base/text/text.h"
#include "imagestore/build/apps.h"
#include "imagestore/build/bootstrap.h"
#include "imagestore/build/host_files.h"
#include "imagestore/build/state_keys.h"

namespace slipway::build {

namespace {

constexpr char kScript[] = "/.build.script";

std::string BaseName(std::string path) {
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  return path.substr(path.find_last_of('/') + 1);
}

// The paths in a stage's tree that a pattern names. What a link outside the tree would add is not opened
// later.
Result<std::vector<std::string>> GlobIn(const std::string& stage_root, const std::string& pattern) {
  std::string absolute = pattern.starts_with('/') ? pattern : "/" + pattern;
  std::vector<std::string> paths;
  if (auto found = HostFiles(stage_root + absolute)) {
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
  std::vector<std::string> sources =
      TRY(of_stage ? GlobIn(stage->second, copy.source) : HostFiles(copy.source));
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

Result<> CopyFiles(const PopulateOptions& options, const RootDir& root) {
  const Recipe& recipe = *options.recipe;
  if (!recipe.files.empty() && options.progress)
    options.progress({"%files", Cat("copying ", recipe.files.size(), " entries")});
  for (const FileCopy& copy : recipe.files)
    TRY_CONTEXT(CopyLine(options, root, copy, ""), Cat(recipe.name, ":", copy.line));
  return {};
}

Result<> InstallApp(const PopulateOptions& options, const RootDir& root, const App& app) {
  TRY(WriteApp(root, app));
  for (const FileCopy& copy : app.files)
    TRY_CONTEXT(CopyLine(options, root, copy, AppFolder(app)), Cat(options.recipe->name, ":", copy.line));
  if (!app.install) return {};
  Section install = app.install;
  install.text = AppInstallScript(app);
  return RunSection(options, root, "%appinstall " + app.name, install);
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
  if (options.progress)
    options.progress(
        {"bootstrap",
         Cat("installing Debian ", recipe.os_version,
             recipe.include.empty() ? "" : Cat(" with ", recipe.include.size(), " more packages"))});
  TRY(Debootstrap(recipe, options.root, run));
  // mmdebstrap makes device nodes; a container's /dev is a mount.
  TRY(RemoveTree(options.root + "/dev"));
  // This host's, which mmdebstrap copied; a container gets its own.
  RootDir root = TRY(RootDir::Open(options.root));
  TRY(root.Remove("/etc/resolv.conf"));
  return root.Remove("/etc/hostname");
}

Result<> DoStep(const PopulateOptions& options, const RootDir& root, std::size_t step) {
  const Recipe& recipe = *options.recipe;
  if (step == kFilesStep) return CopyFiles(options, root);
  if (step == kPostStep) return RunSection(options, root, "%post", recipe.post);
  return InstallApp(options, root, recipe.apps[step - kFirstAppStep]);
}

// Brings the last state that the cache has. How many steps need not be done.
Result<std::size_t> StartFromCache(const PopulateOptions& options, const std::vector<std::string>& keys) {
  if (options.cache == nullptr) return std::size_t{0};
  for (std::size_t step = keys.size(); step-- > 0;) {
    if (!IsWorthKeeping(*options.recipe, step) || keys[step].empty() || !options.cache->Has(keys[step]))
      continue;
    if (options.progress)
      options.progress({"cache", Cat("going on behind ", StepName(*options.recipe, step),
                                     " of an earlier build (--no-cache builds all of it)")});
    TRY(options.cache->Restore(keys[step], options.root));
    return step + 1;
  }
  return std::size_t{0};
}

// A state that cannot be kept costs the next build time, nothing else.
Result<> KeepState(const PopulateOptions& options, const std::vector<std::string>& keys, std::size_t step) {
  const Recipe& recipe = *options.recipe;
  if (options.cache == nullptr || keys[step].empty() || !IsWorthKeeping(recipe, step)) return {};
  RootDir root = TRY(RootDir::Open(options.root));
  // A later build writes its own description over a section's.
  if (step > kBootstrapStep && !DescriptionIsAsWritten(root, recipe, options.labels)) return {};
  // A file that changed while it was copied: nobody knows which of the two is in there.
  if (step > kBootstrapStep && KeysOf(recipe, options.stage_keys) != keys) return {};
  if (options.progress) options.progress({"cache", Cat("keeping what ", StepName(recipe, step), " made")});
  auto kept = options.cache->Keep(keys[step], options.root);
  if (kept || kept.error().code == Code::kCancelled) return kept;
  if (options.log) options.log(Cat("not kept in the build cache: ", kept.error().message));
  return {};
}

}  // namespace

Result<std::string> Populate(const PopulateOptions& options) {
  const Recipe& recipe = *options.recipe;
  TRY(RunOnHost(options, "%pre", recipe.pre));
  std::vector<std::string> keys(kFirstAppStep + recipe.apps.size());
  if (options.cache != nullptr) keys = KeysOf(recipe, options.stage_keys);
  std::size_t done = TRY(StartFromCache(options, keys));
  if (done == 0) {
    TRY(Bootstrap(options));
    TRY(KeepState(options, keys, kBootstrapStep));
    done = 1;
  }
  if (::chmod(options.root.c_str(), 0755) < 0) return ErrnoFail("chmod", options.root);
  RootDir root = TRY(RootDir::Open(options.root));
  if (done == kFilesStep) {
    TRY(WriteMetadata(root, recipe, options.labels));
    TRY(RunOnHost(options, "%setup", recipe.setup));
  } else {
    TRY(WriteDescription(root, recipe, options.labels));
  }
  for (std::size_t step = done; step < keys.size(); ++step) {
    TRY(DoStep(options, root, step));
    TRY(KeepState(options, keys, step));
  }
  if (options.run_tests) TRY(RunSection(options, root, "%test", recipe.test));
  // Settings of this host (proxy, clock) that only the build needed.
  TRY(root.Remove("/etc/apt/apt.conf.d/99mmdebstrap"));
  TRY(MakeMountPoints(root));
  return keys.back();
}

}  // namespace slipway::build
