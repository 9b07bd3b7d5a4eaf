// SPDX-License-Identifier: Apache-2.0
#include "base/os/mount.h"

#include <fcntl.h>
#include <linux/loop.h>
#include <linux/openat2.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include <cstring>

#include "base/os/process.h"

namespace slipway {

Result<UniqueFd> MountNew(const char* type, const std::vector<FsParameter>& parameters,
                          std::uint64_t attributes) {
  UniqueFd context(::fsopen(type, FSOPEN_CLOEXEC));
  if (!context) return ErrnoFail("fsopen", type);
  for (const auto& [key, value] : parameters) {
    bool flag = value.empty();
    if (::fsconfig(context.get(), flag ? FSCONFIG_SET_FLAG : FSCONFIG_SET_STRING, key.c_str(),
                   flag ? nullptr : value.c_str(), 0) < 0) {
      return ErrnoFail(Cat("fsconfig(", type, ", ", key, ")"), value);
    }
  }
  if (::fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) < 0)
    return ErrnoFail("mounting a file system of type", type);
  UniqueFd mount(::fsmount(context.get(), FSMOUNT_CLOEXEC, static_cast<unsigned>(attributes)));
  if (!mount) return ErrnoFail("fsmount", type);
  return mount;
}

Result<UniqueFd> OpenTreeClone(int dir_fd, const std::string& path, bool recursive) {
  unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_NO_AUTOMOUNT;
  if (recursive) flags |= AT_RECURSIVE;
  if (path.empty()) flags |= AT_EMPTY_PATH;
  UniqueFd tree(::open_tree(dir_fd, path.c_str(), flags));
  if (!tree) return ErrnoFail("open_tree", path);
  return tree;
}

Result<> AttachMount(int mount_fd, int target_fd, const char* name) {
  if (::move_mount(mount_fd, "", target_fd, name, MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
    return ErrnoFail("move_mount");
  return {};
}

namespace {
Result<> Setattr(int mount_fd, const mount_attr& attributes, bool recursive) {
  mount_attr copy = attributes;
  if (::mount_setattr(mount_fd, "", AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0), &copy, sizeof copy) < 0)
    return ErrnoFail("mount_setattr");
  return {};
}
}  // namespace

Result<> MountTmpfs(const std::string& path, const std::vector<FsParameter>& parameters) {
  UniqueFd made = TRY(MountNew("tmpfs", parameters, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV));
  UniqueFd folder = TRY(Open(path, O_PATH | O_DIRECTORY));
  return AttachMount(made.get(), folder.get());
}

Result<> SetMountAttributes(int mount_fd, std::uint64_t set, std::uint64_t clear, bool recursive) {
  mount_attr attributes{};
  attributes.attr_set = set;
  attributes.attr_clr = clear;
  return Setattr(mount_fd, attributes, recursive);
}

Result<> MapRootOfMount(int mount_fd, std::uint32_t uid, std::uint32_t gid) {
  // The kernel takes the map from a user namespace, and that from a process that was born in one. It lives
  // until its end of the pipe says that ours, or we, are gone.
  PipeEnds pipe = TRY(MakePipe());
  Process helper = TRY(Clone3({.flags = CLONE_NEWUSER}));
  if (!helper) {
    char none;
    ::close(pipe.write.get());
    [[maybe_unused]] auto gone = ::read(pipe.read.get(), &none, 1);
    ::_exit(0);
  }
  std::string proc = Cat("/proc/", helper.pid());
  auto mapped = [&]() -> Result<> {
    TRY(WriteInto(proc + "/uid_map", Cat("0 ", uid, " 1\n")));
    TRY(WriteInto(proc + "/gid_map", Cat("0 ", gid, " 1\n")));
    UniqueFd space = TRY(Open(proc + "/ns/user", O_RDONLY));
    mount_attr attributes{};
    attributes.attr_set = MOUNT_ATTR_IDMAP;
    attributes.userns_fd = static_cast<std::uint64_t>(space.get());
    return Setattr(mount_fd, attributes, false);
  }();
  pipe.write.reset();
  TRY(helper.Wait());
  return mapped;
}

Result<> SetPropagation(int mount_fd, std::uint64_t propagation, bool recursive) {
  mount_attr attributes{};
  attributes.propagation = propagation;
  return Setattr(mount_fd, attributes, recursive);
}

Result<UniqueFd> OpenInRoot(int root_fd, const std::string& path, int flags, unsigned mode) {
  open_how how{};
  how.flags = static_cast<std::uint64_t>(flags) | O_CLOEXEC;
  how.mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? mode : 0;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  long fd = ::syscall(SYS_openat2, root_fd, path.c_str(), &how, sizeof how);
  if (fd < 0) return ErrnoFail("open (in the container)", path);
  return UniqueFd(static_cast<int>(fd));
}

Result<> PivotInto(int new_root_fd) {
  if (::fchdir(new_root_fd) < 0) return ErrnoFail("fchdir to the new root");
  // pivot_root(".", ".") stacks the old root on top of the new one; it is then unmounted from there.
  if (::syscall(SYS_pivot_root, ".", ".") < 0) return ErrnoFail("pivot_root");
  if (::umount2(".", MNT_DETACH) < 0) return ErrnoFail("umount the old root");
  if (::chdir("/") < 0) return ErrnoFail("chdir to the new root");
  return {};
}

Result<UniqueFd> AttachLoop(int image_fd, std::uint64_t offset, std::uint64_t size_limit) {
  UniqueFd control = TRY(Open("/dev/loop-control", O_RDWR));
  loop_config config{};
  config.fd = static_cast<std::uint32_t>(image_fd);
  config.info.lo_flags = LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR;
  config.info.lo_offset = offset;
  config.info.lo_sizelimit = size_limit;
  // Another process may take the free device between the two calls: then the kernel says EBUSY and we ask
  // again.
  for (int attempt = 0; attempt < 64; ++attempt) {
    int number = ::ioctl(control.get(), LOOP_CTL_GET_FREE);
    if (number < 0) return ErrnoFail("ioctl(LOOP_CTL_GET_FREE)");
    std::string path = Cat("/dev/loop", number);
    auto loop = Open(path, O_RDONLY);
    if (!loop && loop.error().sys_errno == ENOENT) {
      // A node's own /dev may not follow devtmpfs; the device exists all the same (major 7).
      if (::mknod(path.c_str(), S_IFBLK | 0660, makedev(7, static_cast<unsigned>(number))) < 0 &&
          errno != EEXIST)
        return ErrnoFail("mknod", path);
      loop = Open(path, O_RDONLY);
    }
    if (!loop) return Failure(std::move(loop).error());
    if (::ioctl(loop->get(), LOOP_CONFIGURE, &config) == 0) return std::move(*loop);
    if (errno != EBUSY) return ErrnoFail("ioctl(LOOP_CONFIGURE)", path);
  }
  return Fail(Code::kResourceExhausted, "no free loop device after 64 attempts");
}

Result<std::string> LoopPath(int loop_fd) {
  struct stat info;
  if (::fstat(loop_fd, &info) < 0) return ErrnoFail("fstat", "loop device");
  return Cat("/dev/loop", static_cast<unsigned>(minor(info.st_rdev)));
}

Result<bool> IsMountPoint(const std::string& path, const std::string& parent) {
  struct stat here, above;
  if (::stat(path.c_str(), &here) < 0) return ErrnoFail("stat", path);
  if (::stat(parent.c_str(), &above) < 0) return ErrnoFail("stat", parent);
  return here.st_dev != above.st_dev;
}

bool IsProcMasked() {
  auto child = Clone3({.flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID});
  if (!child) return true;
  if (!*child)
    ::_exit(MountNew("proc", {}, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC) ? 0 : 1);
  auto status = child->Wait();
  return !status || status->wait_status != 0;
}

}  // namespace slipway
