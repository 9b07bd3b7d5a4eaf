// SPDX-License-Identifier: Apache-2.0
#include "launcher/client/container_spec.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>

#include "base/text/text.h"

namespace slipway {
namespace {

bool IsBelowOrSame(std::string_view path, std::string_view folder) {
  if (folder == "/") return true;
  return path.starts_with(folder) && (path.size() == folder.size() || path[folder.size()] == '/');
}

Mount Bind(const std::string& source, const std::string& target, bool optional) {
  Mount mount;
  mount.source = source;
  mount.target = target;
  mount.optional = optional;
  return mount;
}

Mount Special(Mount::Type type, const std::string& target, const std::string& options = {}) {
  Mount mount;
  mount.type = type;
  mount.target = target;
  mount.options = options;
  return mount;
}

// Visible already at its own path through a mount that is there.
bool IsVisible(const std::string& path, const std::vector<Mount>& mounts) {
  return std::any_of(mounts.begin(), mounts.end(), [&](const Mount& mount) {
    return mount.type == Mount::kBind && mount.source == mount.target && IsBelowOrSame(path, mount.target);
  });
}

// A working directory there would hide the image's own programs and files.
bool IsTheImages(const std::string& path) {
  if (path == "/" || path == "/var" || path == "/opt" || path == "/mnt" || path == "/run" || path == "/srv" ||
      path == "/home")
    return true;
  for (const char* folder : {"/etc", "/bin", "/sbin", "/usr", "/lib", "/lib32", "/lib64", "/libx32", "/proc",
                             "/sys", "/dev", "/boot"}) {
    if (IsBelowOrSame(path, folder)) return true;
  }
  return false;
}

std::vector<Mount> DefaultMounts(const ContainerOptions& options, const User& user, const std::string& cwd) {
  std::vector<Mount> mounts = {Special(Mount::kProc, "/proc"), Special(Mount::kSys, "/sys"),
                               Special(Mount::kDev, "/dev")};
  for (const char* path : {"/tmp", "/var/tmp"}) {
    mounts.push_back(options.contain ? Special(Mount::kTmpfs, path, "mode=1777") : Bind(path, path, true));
  }
  if (!options.no_home && user.home != "/") {
    if (options.contain) {
      mounts.push_back(Special(Mount::kTmpfs, user.home, "mode=0700"));
    } else if (!IsVisible(user.home, mounts)) {
      mounts.push_back(Bind(user.home, user.home, true));
    }
  }
  for (const char* path : {"/etc/hosts", "/etc/resolv.conf", "/etc/localtime"}) {
    mounts.push_back(Bind(path, path, true));
    mounts.back().read_only = true;
  }
  if (!options.contain && !cwd.empty() && !IsTheImages(cwd) && !IsVisible(cwd, mounts))
    mounts.push_back(Bind(cwd, cwd, true));
  return mounts;
}

std::string_view NameOf(std::string_view entry) { return entry.substr(0, entry.find('=')); }

bool PassesOn(std::string_view name, bool clean) {
  for (const char* prefix : {"SLIPWAYENV_", "APPTAINERENV_", "SINGULARITYENV_"}) {
    if (name.starts_with(prefix)) return true;
  }
  if (clean) return name == "TERM" || name == "LANG";
  // They name the host's libraries; in the container they would load the wrong ones or none.
  return name != "LD_LIBRARY_PATH" && name != "LD_PRELOAD" && name != "HOME";
}

Result<std::vector<std::string>> ContainerEnv(const ImageFile& image, const ContainerOptions& options,
                                              const User& user, const std::vector<std::string>& caller_env) {
  std::vector<std::string> env;
  for (const std::string& entry : caller_env) {
    if (entry.find('=') != std::string::npos && entry[0] != '=' && PassesOn(NameOf(entry), options.clean_env))
      env.push_back(entry);
  }
  env.push_back(Cat("HOME=", user.home));
  if (options.clean_env) env.push_back(Cat("USER=", user.name));
  std::string name = image.path.substr(image.path.rfind('/') + 1);
  for (const char* program : {"SLIPWAY", "APPTAINER", "SINGULARITY"}) {
    env.push_back(Cat(program, "_CONTAINER=", image.path));
    env.push_back(Cat(program, "_NAME=", name));
  }
  for (const std::string& entry : options.env) {
    auto equals = entry.find('=');
    if (equals == std::string::npos || equals == 0)
      return Fail(Code::kInvalidArgument, "--env '", entry.substr(0, 64), "' is not NAME=VALUE");
    env.push_back(Cat("SLIPWAYENV_", entry));
  }
  return env;
}

std::string AbsolutePath(const std::string& path) {
  char* resolved = ::realpath(path.c_str(), nullptr);
  std::string absolute = resolved != nullptr ? resolved : path;
  std::free(resolved);
  return absolute;
}

}  // namespace

Result<std::vector<Mount>> ParseBind(const std::string& argument) {
  std::vector<Mount> mounts;
  for (const std::string& one : Split(argument, ',')) {
    std::vector<std::string> parts = Split(one, ':');
    if (parts.size() > 3 || parts[0].empty())
      return Fail(Code::kInvalidArgument, "--bind '", one.substr(0, 128), "' is not SRC[:DEST[:ro|rw]]");
    Mount mount;
    // A path is taken as it is named: /scratch, a symlink, stays /scratch inside. A relative one is resolved.
    mount.source = parts[0][0] == '/' ? parts[0] : AbsolutePath(parts[0]);
    mount.target = parts.size() > 1 && !parts[1].empty() ? parts[1] : mount.source;
    struct stat info {};
    if (mount.source[0] != '/' || ::stat(mount.source.c_str(), &info) < 0) return ErrnoFail("--bind", one);
    if (mount.target[0] != '/')
      return Fail(Code::kInvalidArgument, "--bind '", one.substr(0, 128),
                  "': the place in the container must be an absolute path");
    if (parts.size() == 3 && parts[2] != "ro" && parts[2] != "rw")
      return Fail(Code::kInvalidArgument, "--bind '", one.substr(0, 128), "': the option is ro or rw");
    mount.read_only = parts.size() == 3 && parts[2] == "ro";
    mounts.push_back(std::move(mount));
  }
  return mounts;
}

Result<LaunchSpec> MakeContainerSpec(const ImageFile& image, const ContainerOptions& options,
                                     const User& user, const std::vector<std::string>& caller_env,
                                     const std::string& cwd) {
  LaunchSpec spec;
  spec.image = image.source;
  spec.pid_namespace = !options.no_pid;
  spec.writable_tmpfs = options.writable_tmpfs;
  spec.hostname = options.hostname;
  spec.mounts = DefaultMounts(options, user, cwd);
  for (const std::string& bind : options.binds) {
    std::vector<Mount> mounts = TRY(ParseBind(bind));
    spec.mounts.insert(spec.mounts.end(), mounts.begin(), mounts.end());
  }
  InjectedFile passwd{"/etc/passwd", PasswdLine(user)};
  passwd.account_line = true;
  InjectedFile group{"/etc/group", GroupLine(user)};
  group.account_line = true;
  spec.files = {passwd, group};
  if (!options.hostname.empty()) spec.files.push_back({"/etc/hostname", options.hostname + "\n"});
  spec.env = TRY(ContainerEnv(image, options, user, caller_env));
  spec.cwd = !options.pwd.empty() ? options.pwd : options.contain ? (options.no_home ? "/" : user.home) : cwd;
  if (!spec.cwd.empty() && spec.cwd[0] != '/')
    return Fail(Code::kInvalidArgument, "--pwd '", spec.cwd, "' is not an absolute path");
  Task task;
  spec.fd_count = image.file ? 2 : 1;
  task.stdin_fd = static_cast<std::int32_t>(spec.fd_count) - 1;
  spec.tasks = {task};
  return spec;
}

}  // namespace slipway
