// SPDX-License-Identifier: Apache-2.0
#include "launcher/broker/caller.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>

#include "base/os/cgroup.h"
#include "base/os/socket.h"
#include "base/text/text.h"

namespace slipway {
namespace {

constexpr std::pair<const char*, const char*> kPlaces[] = {
    {"ns/mnt", "mount namespace"},     {"ns/user", "user namespace"}, {"ns/pid", "pid namespace"},
    {"ns/net", "network namespace"},   {"ns/ipc", "ipc namespace"},   {"ns/uts", "uts namespace"},
    {"ns/cgroup", "cgroup namespace"}, {"root", "root folder"}};

Result<std::pair<dev_t, ino_t>> FileAt(int dir_fd, const std::string& path) {
  struct stat info;
  if (::fstatat(dir_fd, path.c_str(), &info, 0) < 0) return ErrnoFail("stat", path);
  return std::pair{info.st_dev, info.st_ino};
}

}  // namespace

Result<std::string> FollowableCgroup(const std::string& his, const std::string& ours) {
  std::vector<std::string> known = Split(ours, '\n');
  std::string path;
  for (const std::string& line : Split(Trim(his), '\n')) {
    bool unified = line.starts_with("0::"), controls_nothing = line.find(":name=") != std::string::npos;
    if (unified) path = line.substr(3);
    if (!unified && !controls_nothing && std::ranges::find(known, line) == known.end())
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
  UniqueFd self = TRY(Open("/proc/self", O_PATH | O_DIRECTORY));
  for (auto& [entry, name] : kPlaces)
    host.places.push_back(TRY(FileAt(self.get(), host.places.empty() ? Cat("fd/", mounts_fd) : entry)));
  host.own_cgroups = TRY(ReadFile("/proc/self/cgroup", 64 << 10));
  return host;
}

Result<Caller> CallerOf(int socket_fd, HostPlace& host) {
  PeerIdentity peer = TRY(PeerOf(socket_fd));
  Caller caller;
  caller.identity = {peer.uid, peer.gid, TRY(PeerGroups(socket_fd))};
  caller.process = TRY_CONTEXT(Process::Of(peer.pid), "you have gone");
  std::string lines = TRY(ReadFile(Cat("/proc/", peer.pid, "/cgroup"), 64 << 10));
  std::string path = TRY(FollowableCgroup(lines, host.own_cgroups));
  if (!path.empty() && host.cgroup_mount.empty()) host.cgroup_mount = TRY(CgroupMount());
  if (!path.empty()) caller.cgroup = TRY(Open(host.cgroup_mount + path, O_RDONLY | O_DIRECTORY));
  return caller;
}

Result<ProcessLimits> JudgeCaller(const Caller& caller, const HostPlace& host) {
  std::string proc = Cat("/proc/", caller.process.pid());
  // First: a setuid program that he became meanwhile may have raised them, and would be seen below.
  ProcessLimits limits = TRY(ProcessLimits::Of(caller.process.pid()));
  TRY(JudgeStatus(TRY(ReadFile(proc + "/status", 1 << 20)), caller.identity));
  UniqueFd place = TRY(Open(proc, O_PATH | O_DIRECTORY));
  for (std::size_t i = 0; i < std::size(kPlaces); ++i) {
    if (TRY(FileAt(place.get(), kPlaces[i].first)) != host.places[i])
      return Fail(Code::kPermissionDenied, "your ", kPlaces[i].second, " is not this node's");
  }
  TRY_CONTEXT(caller.process.Signal(0), "you have gone");
  return limits;
}

}  // namespace slipway
