// SPDX-License-Identifier: Apache-2.0
// Mounting by path invites symlink races, so mounts here are made and moved by descriptor (fsopen, open_tree,
// move_mount, mount_setattr) and targets are resolved inside a root with openat2. Thin, checked wrappers;
// policy is the caller's.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/os/fd.h"
#include "base/result/result.h"

namespace slipway {

struct FsParameter {
  std::string key;
  std::string value;  // empty: a flag
};
// A new superblock of `type`, detached. `attributes` are MOUNT_ATTR_*.
Result<UniqueFd> MountNew(const char* type, const std::vector<FsParameter>& parameters,
                          std::uint64_t attributes);
// A detached copy of the mount (tree when recursive) at `path` below dir_fd; empty path: dir_fd itself.
Result<UniqueFd> OpenTreeClone(int dir_fd, const std::string& path, bool recursive);
// Attaches a detached mount to the object that target_fd (O_PATH) refers to.
Result<> AttachMount(int mount_fd, int target_fd, const char* name = "");  // on it, or on `name` in it
// A new tmpfs on the folder `path`, which nobody else can exchange meanwhile; nosuid, nodev.
Result<> MountTmpfs(const std::string& path, const std::vector<FsParameter>& parameters);
Result<> SetMountAttributes(int mount_fd, std::uint64_t set, std::uint64_t clear, bool recursive);
// Shows what lies on a detached mount as owned by 0:0 as owned by uid:gid instead, and everything else as
// nobody's; sys_errno EINVAL where the kernel cannot for this file system (squashfs before Linux 6.2).
Result<> MapRootOfMount(int mount_fd, std::uint32_t uid, std::uint32_t gid);
Result<> SetPropagation(int mount_fd, std::uint64_t propagation /* MS_SLAVE … */, bool recursive);

// An O_PATH descriptor of `path` inside `root_fd`; symlinks cannot lead out (RESOLVE_IN_ROOT), magic links
// are refused.
Result<UniqueFd> OpenInRoot(int root_fd, const std::string& path, int flags, unsigned mode = 0);
// Makes `new_root_fd` the root of this mount namespace and lets the old one go.
Result<> PivotInto(int new_root_fd);

// Whether something is mounted at `path`, of which `parent` is the folder.
Result<bool> IsMountPoint(const std::string& path, const std::string& parent);
// Whether a new procfs is refused in a user namespace here (parts of the one at /proc are covered).
bool IsProcMasked();

// Attaches `image_fd` read-only to a free loop device that frees itself when its last user goes; returns an
// open descriptor of the device (and its path by LoopPath).
Result<UniqueFd> AttachLoop(int image_fd, std::uint64_t offset, std::uint64_t size_limit);
Result<std::string> LoopPath(int loop_fd);

}  // namespace slipway
