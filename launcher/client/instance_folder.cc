// SPDX-License-Identifier: Apache-2.0
#include "launcher/client/instance_folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <climits>
#include <csignal>
#include <cstdlib>

namespace slipway {
namespace {

constexpr std::size_t kStateBytesMax = 1 << 20;
constexpr int kTries = 40;
constexpr useconds_t kBetweenTriesUs = 25'000;

std::string HostName() {
  char name[HOST_NAME_MAX + 1] = {};
  ::gethostname(name, sizeof name - 1);
  return name[0] != 0 && name[0] != '.' ? name : "localhost";
}

bool IsOursAlone(const std::string& path) {
  struct stat info {};
  return ::lstat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode) && info.st_uid == ::geteuid() &&
         (info.st_mode & 077) == 0;
}

Result<std::string> OwnFolder(const std::string& path) {
  TRY(MakeDirectories(path, 0700));
  if (IsOursAlone(path)) return path;
  return Fail(Code::kPermissionDenied, path,
              ": must be a directory of yours with mode 0700: instances are reached through it");
}

Result<std::string> BelowHome(const User& user, const char* what) {
  if (user.home == "/")
    return Fail(Code::kFailedPrecondition, "you have no home directory here and no XDG_RUNTIME_DIR: set one");
  TRY(MakeDirectories(user.home + "/.slipway", 0700));
  return OwnFolder(Cat(user.home, "/.slipway/", what, "/", HostName()));
}

struct flock WholeFile(short type) {
  struct flock lock {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  return lock;
}

// Of the open file, not of the process: it lives on in whoever inherits the descriptor.
bool TakeLock(int fd) {
  struct flock lock = WholeFile(F_WRLCK);
  return ::fcntl(fd, F_OFD_SETLK, &lock) == 0;
}

bool IsHeld(int fd) {
  struct flock lock = WholeFile(F_WRLCK);
  return ::fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

bool IsStillAt(int fd, const std::string& path) {
  struct stat here {
  }, there{};
  return ::fstat(fd, &here) == 0 && ::lstat(path.c_str(), &there) == 0 && here.st_ino == there.st_ino &&
         here.st_dev == there.st_dev;
}

std::string LockPath(const std::string& folder) { return folder + "/lock"; }

// The lock while we hold it and it is the folder's; nothing when somebody else holds it or it has just gone.
Result<UniqueFd> TryClaim(const std::string& folder) {
  if (::mkdir(folder.c_str(), 0700) < 0 && errno != EEXIST) return ErrnoFail("mkdir", folder);
  auto lock = Open(LockPath(folder), O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
  if (!lock && lock.error().sys_errno == ENOENT) return UniqueFd();
  if (!lock) return Failure(std::move(lock).error());
  if (!TakeLock(lock->get()) || !IsStillAt(lock->get(), LockPath(folder))) return UniqueFd();
  return std::move(*lock);
}

void Empty(const std::string& folder) {
  for (const std::string& file : {InstanceSocket(folder), InstanceStateFile(folder)}) ::unlink(file.c_str());
}

bool Runs(const std::string& folder) {
  auto lock = Open(LockPath(folder), O_RDWR | O_NOFOLLOW);
  return lock && IsHeld(lock->get());
}

// What a dead one left.
void Clean(const std::string& parent, const std::string& name) {
  std::string folder = Cat(parent, "/", name);
  auto lock = TryClaim(folder);
  if (lock && *lock) ReleaseInstance({.name = name, .folder = folder, .lock = std::move(*lock)});
}

Result<InstanceState> ReadState(const std::string& folder) {
  UniqueFd file = TRY(Open(InstanceStateFile(folder), O_RDONLY | O_NOFOLLOW));
  std::string bytes = TRY(ReadAll(file.get(), kStateBytesMax));
  return DecodeInstanceState(bytes);
}

}  // namespace

Result<> CheckInstanceName(std::string_view name) {
  auto first = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; };
  bool fine = !name.empty() && name.size() <= 64 && first(name[0]) &&
              std::all_of(name.begin(), name.end(),
                          [&](char c) { return first(c) || c == '_' || c == '-' || c == '.'; });
  if (fine) return {};
  return Fail(Code::kInvalidArgument, "instance name '", name.substr(0, 80),
              "': must be 1 to 64 letters, digits, '_', '-' and '.', beginning with a letter or digit");
}

Result<InstanceState> DecodeInstanceState(std::string_view bytes) {
  auto state = TRY(Decode<InstanceState>(bytes, "instance state"));
  if (state.version != 1)
    return Fail(Code::kInvalidArgument, "instance state of version ", state.version,
                ", this program reads 1");
  if (state.keeper_pid <= 0 || state.init_pid <= 0 || state.starter_pid <= 0 ||
      state.cgroup.find("..") != std::string::npos)
    return Fail(Code::kInvalidArgument, "instance state: malformed");
  TRY(CheckInstanceName(state.name));
  return state;
}

Result<std::string> InstancesFolder(const User& user) {
  const char* set = std::getenv("XDG_RUNTIME_DIR");
  for (const std::string& runtime :
       {std::string(set != nullptr && set[0] == '/' ? set : ""), Cat("/run/user/", user.uid)}) {
    if (!runtime.empty() && IsOursAlone(runtime)) return OwnFolder(runtime + "/slipway/instances");
  }
  return BelowHome(user, "instances");
}

Result<std::string> InstanceLogFolder(const User& user) { return BelowHome(user, "logs"); }

Result<InstanceClaim> ClaimInstance(const std::string& parent, const std::string& name) {
  TRY(CheckInstanceName(name));
  std::string folder = Cat(parent, "/", name);
  for (int i = 0; i < kTries; ++i) {
    UniqueFd lock = TRY(TryClaim(folder));
    if (lock) {
      Empty(folder);
      return InstanceClaim{.name = name, .folder = folder, .lock = std::move(lock)};
    }
    if (ReadState(folder) && Runs(folder)) {
      return Fail(Code::kAlreadyExists, "instance ", name, " is running already; `slipway instance stop ",
                  name, "` ends it");
    }
    ::usleep(kBetweenTriesUs);  // it is being started, stopped or cleaned up at this moment
  }
  return Fail(Code::kAlreadyExists, "instance ", name, " is being started or stopped by somebody else");
}

void ReleaseInstance(InstanceClaim claim) {
  Empty(claim.folder);
  // While we hold the lock nobody takes the name; who waits for it sees that the file has gone.
  ::unlink(LockPath(claim.folder).c_str());
  ::rmdir(claim.folder.c_str());
}

Result<InstanceState> FindInstance(const std::string& parent, const std::string& name) {
  TRY(CheckInstanceName(name));
  std::string folder = Cat(parent, "/", name);
  Failure none =
      Fail(Code::kNotFound, "no instance named ", name, " runs; `slipway instance list` shows those that do");
  if (::access(folder.c_str(), F_OK) < 0) return none;
  if (!Runs(folder)) {
    Clean(parent, name);
    return none;
  }
  auto state = ReadState(folder);
  if (!state && state.error().sys_errno == ENOENT)
    return Fail(Code::kNotFound, "instance ", name, " is being started or stopped");
  if (!state) return Failure(std::move(state).error().Context(InstanceStateFile(folder)));
  return state;
}

Result<std::vector<InstanceState>> ListInstances(const std::string& parent) {
  DIR* dir = ::opendir(parent.c_str());
  if (dir == nullptr) return ErrnoFail("opening", parent);
  std::vector<std::string> names;
  while (dirent* entry = ::readdir(dir)) {
    if (CheckInstanceName(entry->d_name)) names.emplace_back(entry->d_name);
  }
  ::closedir(dir);
  std::sort(names.begin(), names.end());
  std::vector<InstanceState> instances;
  for (const std::string& name : names) {
    auto state = FindInstance(parent, name);
    if (!state && state.error().code == Code::kInvalidArgument)
      state = InstanceState{.name = name, .image = "(its state file cannot be read)"};
    if (state) instances.push_back(std::move(*state));
  }
  return instances;
}

}  // namespace slipway
