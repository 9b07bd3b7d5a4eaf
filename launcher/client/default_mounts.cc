// SPDX-License-Identifier: Apache-2.0
#include "launcher/client/default_mounts.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <set>

#include "base/os/fd.h"
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

Result<std::set<std::string>> LeftOut(const PlaceOptions& options) {
  std::set<std::string> names;
  for (const std::string& list : options.no_mount) {
    for (const std::string& name : Split(list, ',')) {
      static constexpr std::string_view kKnown[] = {"proc", "sys",    "dev", "devpts",    "home",
                                                    "tmp",  "hostfs", "cwd", "bind-paths"};
      bool known = std::find(std::begin(kKnown), std::end(kKnown), name) != std::end(kKnown);
      if (!known && !name.starts_with('/'))
        return Fail(
            Code::kInvalidArgument, "--no-mount '", name.substr(0, 64),
            "': the names are proc, sys, dev, devpts, home, tmp, hostfs, cwd, bind-paths, or a path that "
            "is bound by default");
      names.insert(name);
    }
  }
  return names;
}

std::string DevOptions(const PlaceOptions& options, const std::set<std::string>& left_out) {
  std::string words = left_out.contains("devpts") ? "nopts" : "";
  if (options.contain) words += words.empty() ? "ownshm" : ",ownshm";
  return words;
}

// A folder of that name in the --workdir, made when missing.
Result<std::string> InWorkdir(const PlaceOptions& options, const std::string& name, unsigned mode) {
  struct stat info {};
  if (::stat(options.workdir.c_str(), &info) < 0 || !S_ISDIR(info.st_mode))
    return Fail(Code::kNotFound, "--workdir ", options.workdir, ": no such directory");
  std::string path = Cat(options.workdir, "/", name);
  TRY_CONTEXT(MakeDirectories(path), "--workdir");
  if (::chmod(path.c_str(), mode) < 0) return ErrnoFail("--workdir: chmod", path);
  char* resolved = ::realpath(path.c_str(), nullptr);
  std::string absolute = resolved != nullptr ? resolved : path;
  std::free(resolved);
  return absolute;
}

// An empty folder of the container's own.
Result<Mount> Empty(const PlaceOptions& options, const std::string& target, const std::string& name,
                    unsigned mode) {
  if (options.workdir.empty())
    return Special(Mount::kTmpfs, target, mode == 0700 ? "mode=0700" : "mode=1777");
  return Bind(TRY(InWorkdir(options, name, mode)), target, false);
}

Result<> AddHome(const PlaceOptions& options, const Home& home, std::vector<Mount>& mounts) {
  if (home.target == "/" || (home.source == "/" && !home.asked_for)) return {};
  if (options.contain && !home.asked_for) {
    mounts.push_back(TRY(Empty(options, home.target, "home", 0700)));
  } else if (home.source != home.target || !IsVisible(home.source, mounts)) {
    mounts.push_back(Bind(home.source, home.target, !home.asked_for));
  }
  return {};
}

}  // namespace

Result<Home> HomeOf(const PlaceOptions& options, const User& user, bool fakeroot) {
  if (options.home.empty()) return Home{user.home, fakeroot ? "/root" : user.home, false};
  std::vector<std::string> parts = Split(options.home, ':');
  Home home{parts[0], parts.size() > 1 ? parts[1] : parts[0], true};
  struct stat info {};
  if (parts.size() > 2 || home.source.empty() || !home.target.starts_with('/'))
    return Fail(Code::kInvalidArgument, "--home '", options.home.substr(0, 128),
                "' is not SRC[:DEST] with an absolute path inside");
  if (::stat(home.source.c_str(), &info) < 0) return ErrnoFail("--home", home.source);
  if (!S_ISDIR(info.st_mode))
    return Fail(Code::kInvalidArgument, "--home ", home.source, ": is not a directory");
  if (char* resolved = ::realpath(home.source.c_str(), nullptr);
      home.source[0] != '/' && resolved != nullptr) {
    home.source = resolved;
    std::free(resolved);
  } else {
    std::free(resolved);
  }
  return home;
}

Result<std::vector<Mount>> DefaultMounts(const PlaceOptions& options, const Home& home,
                                         const std::string& cwd) {
  std::set<std::string> left_out = TRY(LeftOut(options));
  std::vector<Mount> mounts;
  if (!left_out.contains("proc")) mounts.push_back(Special(Mount::kProc, "/proc"));
  if (!left_out.contains("sys")) mounts.push_back(Special(Mount::kSys, "/sys"));
  if (!left_out.contains("dev"))
    mounts.push_back(Special(Mount::kDev, "/dev", DevOptions(options, left_out)));
  for (auto [path, name] : {std::pair("/tmp", "tmp"), std::pair("/var/tmp", "var_tmp")}) {
    if (left_out.contains("tmp") || left_out.contains(path)) continue;
    mounts.push_back(options.contain ? TRY(Empty(options, path, name, 01777)) : Bind(path, path, true));
  }
  if (!options.no_home && !left_out.contains("home")) TRY(AddHome(options, home, mounts));
  for (const char* path : {"/etc/hosts", "/etc/resolv.conf", "/etc/localtime"}) {
    if (left_out.contains(path)) continue;
    mounts.push_back(Bind(path, path, true));
    mounts.back().read_only = true;
  }
  bool wants_cwd = !options.contain && !left_out.contains("cwd") && !cwd.empty();
  if (wants_cwd && !IsTheImages(cwd) && !IsVisible(cwd, mounts)) mounts.push_back(Bind(cwd, cwd, true));
  return mounts;
}

Result<std::vector<Mount>> ScratchMounts(const PlaceOptions& options) {
  std::vector<Mount> mounts;
  for (const std::string& list : options.scratch) {
    for (const std::string& target : Split(list, ',')) {
      if (!target.starts_with('/') || target == "/")
        return Fail(Code::kInvalidArgument, "--scratch '", target.substr(0, 128),
                    "' is not an absolute path in the container");
      mounts.push_back(TRY(Empty(options, target, "scratch" + target, 01777)));
    }
  }
  return mounts;
}

}  // namespace slipway
