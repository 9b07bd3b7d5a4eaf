// SPDX-License-Identifier: Apache-2.0
#include "launcher/container/fuse2fs.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os/mount.h"
#include "base/os/process.h"

namespace slipway {
namespace {

constexpr const char* kPlace = "/tmp";  // every host has it; ours to cover in a mount namespace that is ours

// An empty folder at the place (libfuse refuses another) for as long as this lives.
class Cover {
 public:
  static Result<Cover> Make() {
    UniqueFd tmpfs = TRY(MountNew("tmpfs", {{"size", "4k"}}, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV));
    UniqueFd place = TRY(Open(kPlace, O_PATH | O_DIRECTORY));
    TRY_CONTEXT(AttachMount(tmpfs.get(), place.get()), "covering /tmp for fuse2fs");
    return Cover(std::move(tmpfs));
  }
  Cover(Cover&&) = default;
  ~Cover() {
    if (tmpfs_) ::umount2(kPlace, MNT_DETACH);
  }

 private:
  explicit Cover(UniqueFd tmpfs) : tmpfs_(std::move(tmpfs)) {}
  UniqueFd tmpfs_;
};

Result<std::uint64_t> MountIdOf(const char* path) {
  struct statx info {};
  if (::statx(AT_FDCWD, path, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_MNT_ID, &info) < 0)
    return ErrnoFail("statx", path);
  return info.stx_mnt_id;
}

// Until something is mounted at the place, or the server has gone.
Result<> AwaitMount(std::uint64_t id_before, const Process& server, int mounts_fd) {
  for (;;) {
    pollfd fds[] = {{mounts_fd, POLLPRI, 0}, {server.pidfd(), POLLIN, 0}};
    if (TRY(MountIdOf(kPlace)) != id_before) return {};
    if (::poll(fds, 2, -1) < 0 && errno != EINTR) return ErrnoFail("poll");
    if (fds[1].revents != 0 && TRY(MountIdOf(kPlace)) == id_before)
      return Fail(Code::kFailedPrecondition, "the ext file system cannot be mounted");
  }
}

}  // namespace

Result<FuseImage> ServeExt(const ImageSource& image, int image_fd, ExtUse use) {
  FuseCommand command;
  command.program = TRY(FindFuseProgram("fuse2fs", "fuse2fs", "serves an ext3 image without privilege"));
  TRY(OpenFuseDevice());
  command.argv = {
      command.program,
      "-f",
      "-o",
      Cat(use == ExtUse::kRead ? "ro,norecovery" : "rw,big_writes", ",fakeroot,offset=", image.offset),
      Cat("/proc/self/fd/", image_fd),
      kPlace};
  command.fds = {image_fd};
  command.keeps = CapabilityBit(CAP_SYS_ADMIN);
  command.outlives_us = use == ExtUse::kWrite;
  Cover cover = TRY(Cover::Make());
  UniqueFd mounts = TRY(Open("/proc/thread-self/mountinfo", O_RDONLY));
  std::uint64_t id_before = TRY(MountIdOf(kPlace));
  FuseImage served;
  served.server = TRY(StartFuseServer(command));
  Process server = TRY(Process::Of(served.server.pid));
  if (auto there = AwaitMount(id_before, server, mounts.get()); !there)
    return Failure(WithServersWords(std::move(there).error(), served.server));
  served.mount = TRY(OpenTreeClone(AT_FDCWD, kPlace, false));
  if (::umount2(kPlace, MNT_DETACH) < 0) return ErrnoFail("umount", kPlace);
  std::uint64_t attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
  if (use == ExtUse::kRead) attributes |= MOUNT_ATTR_RDONLY;
  TRY(SetMountAttributes(served.mount.get(), attributes, 0, false));
  return served;
}

}  // namespace slipway
