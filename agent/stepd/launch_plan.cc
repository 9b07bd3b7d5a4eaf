// SPDX-License-Identifier: Apache-2.0
#include "agent/stepd/launch_plan.h"

#include "agent/stepd/rank_environment.h"
#include "agent/stepd/task_programs.h"
#include "base/text/text.h"

namespace slipway {
namespace {

Mount Bind(const std::string& path, bool read_only, bool optional) {
  return {.type = Mount::kBind, .source = path, .target = path, .read_only = read_only, .optional = optional};
}

bool IsBelow(std::string_view path, std::string_view dir) {
  return path == dir || (path.starts_with(dir) && path.size() > dir.size() && path[dir.size()] == '/');
}

std::vector<Mount> MountsOf(const StepSpec& spec) {
  std::vector<Mount> mounts;
  mounts.push_back({.type = Mount::kProc, .target = "/proc"});
  mounts.push_back({.type = Mount::kDev,
                    .target = "/dev",
                    .options = spec.private_shm || !spec.job_shm.empty() ? "ownshm" : ""});
  mounts.push_back({.type = Mount::kSys, .target = "/sys"});
  if (!spec.job_shm.empty())
    mounts.push_back({.type = Mount::kBind, .source = spec.job_shm, .target = "/dev/shm"});
  for (const char* folder : {"/tmp", "/var/tmp"}) {
    if (!spec.job_tmp.empty()) {
      mounts.push_back({.type = Mount::kBind, .source = spec.job_tmp, .target = folder});
      continue;
    }
    mounts.push_back(spec.private_tmp_bytes == 0
                         ? Bind(folder, false, true)
                         : Mount{.type = Mount::kTmpfs,
                                 .target = folder,
                                 .options = Cat("mode=1777,size=", spec.private_tmp_bytes)});
  }
  for (const char* file : {"/etc/hosts", "/etc/resolv.conf", "/etc/localtime"})
    mounts.push_back(Bind(file, true, true));
  bool home = !HasVariable(spec.env, kNoHomeVariable);
  if (home && !spec.home.empty() && spec.home != "/") mounts.push_back(Bind(spec.home, false, true));
  bool covered = spec.cwd.empty() || spec.cwd == "/" || (!home && IsBelow(spec.cwd, spec.home));
  for (const Mount& mount : mounts) covered = covered || IsBelow(spec.cwd, mount.target);
  if (!covered) mounts.push_back(Bind(spec.cwd, false, true));
  if (spec.mpi != MpiKind::kNone) {
    // MPI's session directories: in /tmp those of two steps or of two users with one name would meet.
    mounts.push_back({.type = Mount::kTmpfs, .target = kSessionTarget, .options = "mode=0700,size=64m"});
  }
  if (!spec.client_dir.empty()) {
    mounts.push_back(
        {.type = Mount::kBind, .source = spec.client_dir, .target = kClientTarget, .read_only = true});
  }
  mounts.insert(mounts.end(), spec.mounts.begin(), spec.mounts.end());
  return mounts;
}

std::vector<InjectedFile> FilesOf(const StepSpec& spec) {
  std::vector<InjectedFile> files;
  if (!spec.user.empty()) {
    std::string home = spec.home.empty() ? "/" : spec.home;
    std::string shell = spec.shell.empty() ? "/bin/sh" : spec.shell;
    files.push_back(
        {.target = "/etc/passwd",
         .content = Cat(spec.user, ":x:", spec.uid, ":", spec.gid, ":", spec.user, ":", home, ":", shell),
         .account_line = true});
    files.push_back(
        {.target = "/etc/group", .content = Cat(spec.user, ":x:", spec.gid, ":"), .account_line = true});
  }
  if (!spec.script.empty()) files.push_back({.target = kScriptTarget, .content = spec.script, .mode = 0755});
  return files;
}

}  // namespace

Result<> CheckScript(std::string_view script) {
  std::string_view first = script.substr(0, script.find('\n'));
  if (!first.starts_with("#!")) {
    return Fail(Code::kInvalidArgument,
                "the batch script does not begin with #! and an interpreter: put #!/bin/sh (or another) on "
                "its first line");
  }
  if (first.ends_with('\r')) {
    return Fail(Code::kInvalidArgument,
                "the batch script has Windows line ends (CR LF): convert it, for example with dos2unix or "
                "sed -i 's/\\r$//'");
  }
  if (Trim(first.substr(2)).empty())
    return Fail(Code::kInvalidArgument, "the batch script names no interpreter after #!");
  return {};
}

Result<LaunchSpec> PlanLaunch(const StepSpec& spec) {
  LaunchSpec launch;
  if (!spec.script.empty()) {
    TRY(CheckScript(spec.script));
    launch.argv.push_back(kScriptTarget);
  }
  launch.argv.insert(launch.argv.end(), spec.argv.begin(), spec.argv.end());
  launch.writable_tmpfs = spec.writable_tmpfs;
  launch.mounts = MountsOf(spec);
  launch.files = FilesOf(spec);
  launch.hooks = spec.hooks;
  launch.env = StepEnvironment(spec);
  launch.cwd = spec.cwd;
  launch.umask = spec.umask;
  WrapTasks(spec, launch);
  launch.resource_limits = TRY(ResourceLimitsOf(spec.env));
  const auto& ranks = spec.ranks[spec.node_index];
  if (ranks.empty())
    return Fail(Code::kInvalidArgument, "the step has no rank on ", spec.nodes[spec.node_index]);
  for (std::uint32_t local = 0; local < ranks.size(); ++local) {
    launch.tasks.push_back({.rank = ranks[local],
                            .env = RankEnvironment(spec, local),
                            .cpus = spec.rank_cpus.empty() ? spec.cpus : spec.rank_cpus[local]});
    if (local >= spec.task_devices.size()) continue;
    const std::vector<std::string>& env = spec.task_devices[local].env;
    launch.tasks.back().env.insert(launch.tasks.back().env.end(), env.begin(), env.end());
  }
  return launch;
}

}  // namespace slipway
