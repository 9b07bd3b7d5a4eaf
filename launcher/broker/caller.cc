// SPDX-License-Identifier: Apache-2.0
#include "launcher/broker/caller.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <algorithm>
#include <array>
#include <set>
#include <sstream>

#include "base/os/cgroup.h"
#include "base/os/socket.h"

namespace slipway {
namespace {

constexpr std::pair<const char*, const char*> kPlaces[] = {
    {"ns/mnt", "mount namespace"},     {"ns/user", "user namespace"}, {"ns/pid", "pid namespace"},
    {"ns/net", "network namespace"},   {"ns/ipc", "ipc namespace"},   {"ns/uts", "uts namespace"},
    {"ns/cgroup", "cgroup namespace"}, {"root", "root folder"}};

Result<std::pair<dev_t, ino_t>> FileAt(const std::string& path) {
  struct stat info;
  if (::stat(path.c_str(), &info) < 0) return ErrnoFail("stat", path);
  return std::pair{info.st_dev, info.st_ino};
}

// A hard limit above our own is had only with CAP_SYS_RESOURCE; without it ours is what he gets.
Result<> TakeResourceLimit(pid_t pid, __rlimit_resource which) {
  rlimit his, own;
  if (::prlimit(pid, which, nullptr, &his) < 0 || ::getrlimit(which, &own) < 0) return ErrnoFail("prlimit");
  if (::setrlimit(which, &his) == 0) return {};
  his = {std::min(his.rlim_cur, own.rlim_max), std::min(his.rlim_max, own.rlim_max)};
  if (::setrlimit(which, &his) < 0) return ErrnoFail("setrlimit");
  return {};
}

Result<> TakeLimitsOf(pid_t pid) {
  TRY(WriteInto("/proc/self/oom_score_adj", TRY(ReadFile(Cat("/proc/", pid, "/oom_score_adj"), 64))));
  std::array<unsigned long, 1024> processors;  // 65,536 of them
  long bytes = ::syscall(SYS_sched_getaffinity, pid, sizeof processors, processors.data());
  if (bytes < 0 || ::syscall(SYS_sched_setaffinity, 0, bytes, processors.data()) < 0)
    return ErrnoFail("taking your processors over");
  errno = 0;
  int niceness = ::getpriority(PRIO_PROCESS, static_cast<id_t>(pid));
  if (errno != 0 || ::setpriority(PRIO_PROCESS, 0, niceness) < 0)
    return ErrnoFail("taking your niceness over");
  for (int i = 0; i < RLIM_NLIMITS; ++i) TRY(TakeResourceLimit(pid, static_cast<__rlimit_resource>(i)));
  return {};
}

}  // namespace

Result<std::string> FollowableCgroup(const std::string& his, const std::string& ours) {
  std::set<std::string> known;
  std::istringstream own(ours);
  for (std::string line; std::getline(own, line);) known.insert(line);
  std::string path;
  std::istringstream lines(his);
  for (std::string line; std::getline(lines, line);) {
    bool unified = line.starts_with("0::"), controls_nothing = line.find(":name=") != std::string::npos;
    if (unified) path = line.substr(3);
    if (!unified && !controls_nothing && !known.contains(line))
      return Fail(Code::kPermissionDenied, "your cgroup (v1) ", line, " cannot be followed");
  }
  if (Cat(path, "/").find("/../") != std::string::npos)
    return Fail(Code::kPermissionDenied, "your cgroup ", path, " is out of sight here");
  return path;
}

Result<> JudgeStatus(const std::string& status, const UserIds& who) {
  auto field = [&](std::string_view name) {
    auto at = status.find(Cat("\n", name, ":\t"));
    if (at == std::string::npos) return std::string("?");
    at += name.size() + 3;
    return status.substr(at, status.find('\n', at) - at);
  };
  std::string uid = std::to_string(who.uid);
  if (field("Uid") != Cat(uid, "\t", uid, "\t", uid, "\t", uid))
    return Fail(Code::kPermissionDenied, "your process has changed its user");
  if (field("NoNewPrivs") != "0" || field("Seccomp") != "0")
    return Fail(Code::kPermissionDenied,
                "you are in a sandbox (no_new_privs or seccomp), which such a container would not be in");
  return {};
}

Result<HostPlace> HostPlace::Find(int mounts_fd) {
  HostPlace host;
  for (auto& [entry, name] : kPlaces)
    host.places.push_back(
        TRY(FileAt(Cat("/proc/self/", host.places.empty() ? Cat("fd/", mounts_fd) : entry))));
  return host;
}

Result<Caller> CallerOf(int socket_fd, HostPlace& host) {
  PeerIdentity peer = TRY(PeerOf(socket_fd));
  Caller caller;
  caller.identity = {peer.uid, peer.gid, TRY(PeerGroups(socket_fd))};
  caller.process = TRY_CONTEXT(Process::Of(peer.pid), "you have gone");
  std::string proc = Cat("/proc/", peer.pid);
  TRY(JudgeStatus(TRY(ReadFile(proc + "/status", 1 << 20)), caller.identity));
  for (std::size_t i = 0; i < std::size(kPlaces); ++i) {
    if (TRY(FileAt(Cat(proc, "/", kPlaces[i].first))) != host.places[i])
      return Fail(Code::kPermissionDenied, "your ", kPlaces[i].second, " is not this node's");
  }
  std::string path = TRY(FollowableCgroup(TRY(ReadFile(proc + "/cgroup", 64 << 10)),
                                          TRY(ReadFile("/proc/self/cgroup", 64 << 10))));
  if (!path.empty() && host.cgroup_mount.empty()) host.cgroup_mount = TRY(CgroupMount());
  if (!path.empty()) caller.cgroup = TRY(Open(host.cgroup_mount + path, O_RDONLY | O_DIRECTORY));
  caller.take_limits = [pid = peer.pid] { return TakeLimitsOf(pid); };
  return caller;
}

}  // namespace slipway
