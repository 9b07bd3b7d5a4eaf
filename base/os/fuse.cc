// SPDX-License-Identifier: Apache-2.0
#include "base/os/fuse.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <charconv>

#include "base/os/mount.h"

namespace slipway {
namespace {

// A mount of its own, which nobody else sees; without privilege the one that the host may have.
UniqueFd ControlFolder() {
  auto mounted = MountNew("fusectl", {}, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
  if (mounted) return std::move(*mounted);
  return Open("/sys/fs/fuse/connections", O_RDONLY | O_DIRECTORY).value_or(UniqueFd());
}

bool Abort(int control_fd, std::uint32_t connection, uid_t uid) {
  std::string file = Cat(connection, "/abort");
  struct stat status {};
  if (::fstatat(control_fd, file.c_str(), &status, AT_SYMLINK_NOFOLLOW) < 0 || status.st_uid != uid)
    return false;
  auto abort = OpenAt(control_fd, file, O_WRONLY);
  return abort && WriteAll(abort->get(), "1");
}

// Of each thread: the first may have ended before the one that waits.
std::set<std::uint32_t> ConnectionsOf(pid_t process) {
  std::set<std::uint32_t> connections;
  std::string threads = Cat("/proc/", process, "/task");
  for (const std::string& thread : NamesIn(threads).value_or(std::vector<std::string>()))
    connections.merge(
        FuseConnectionsIn(ReadFile(Cat(threads, "/", thread, "/mountinfo")).value_or(std::string())));
  return connections;
}

}  // namespace

std::set<std::uint32_t> FuseConnectionsIn(std::string_view mountinfo) {
  std::set<std::uint32_t> connections;
  while (!mountinfo.empty()) {
    std::string_view line = mountinfo.substr(0, mountinfo.find('\n'));
    mountinfo.remove_prefix(std::min(mountinfo.size(), line.size() + 1));
    // "id parent major:minor root mountpoint … - type source options"
    std::size_t type = line.find(" - fuse");
    if (type == line.npos ||
        std::string_view(" .b").find(line[std::min(type + 7, line.size() - 1)]) == line.npos)
      continue;  // fuse, fuse.sshfs, fuseblk; not fusectl
    std::size_t device = line.find(" 0:");
    if (device == line.npos) continue;
    std::uint32_t minor = 0;
    auto read = std::from_chars(line.data() + device + 3, line.data() + line.size(), minor);
    if (read.ec == std::errc()) connections.insert(minor);
  }
  return connections;
}

std::size_t AbortFuseOf(const std::vector<pid_t>& processes, uid_t uid) {
  std::set<std::uint32_t> connections;
  for (pid_t process : processes) connections.merge(ConnectionsOf(process));
  if (connections.empty()) return 0;
  for (std::uint32_t shared : ConnectionsOf(1)) connections.erase(shared);
  UniqueFd control = ControlFolder();
  std::size_t aborted = 0;
  for (std::uint32_t connection : connections) aborted += Abort(control.get(), connection, uid) ? 1 : 0;
  return aborted;
}

}  // namespace slipway
