// SPDX-License-Identifier: Apache-2.0
#include "launcher/broker/image_mount.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "base/crypto/crypto.h"
#include "base/os/mount.h"

namespace slipway {

Result<> CheckDigest(const std::string& digest) {
  if (!IsDigest(digest)) return Fail(Code::kInvalidArgument, "'", digest.substr(0, 80), "' is not a digest");
  return {};
}

std::string ImageFilePath(const BrokerConf& conf, const std::string& digest) {
  return Cat(conf.image_dir, "/", kImageFilePrefix, digest.substr(7));
}
std::string ContentPath(const BrokerConf& conf, const std::string& digest) {
  return ImageFilePath(conf, digest) + ".content";
}

std::string MountName(const std::string& digest, const UserIds* owner) {
  std::string name = digest.substr(7);
  return owner == nullptr ? name : Cat(name, "-", owner->uid, "-", owner->gid);
}

std::string ImageMountPath(const BrokerConf& conf, const std::string& mount_name) {
  return Cat(conf.mounts_dir(), "/", mount_name);
}

Result<UniqueFd> OpenStoreImage(const BrokerConf& conf, const std::string& digest) {
  TRY(CheckDigest(digest));
  auto file = Open(ImageFilePath(conf, digest), O_RDONLY | O_NOFOLLOW);
  if (!file && file.error().sys_errno == ENOENT)
    return Fail(Code::kNotFound, "this node has no image ", digest);
  return file;
}

void NoteUse(const BrokerConf& conf, const std::string& digest) {
  timespec now[] = {{0, UTIME_NOW}, {0, UTIME_OMIT}};
  ::utimensat(AT_FDCWD, ImageFilePath(conf, digest).c_str(), now, AT_SYMLINK_NOFOLLOW);
}

Result<> EnterPrivateMounts(const BrokerConf& conf) {
  TRY(MakeDirectories(conf.mounts_dir(), 0711));
  if (::unshare(CLONE_NEWNS) < 0) return ErrnoFail("unshare(CLONE_NEWNS)");
  if (::mount(nullptr, "/", nullptr, MS_SLAVE | MS_REC, nullptr) < 0)
    return ErrnoFail("making mounts slaves");
  return MountTmpfs(conf.mounts_dir(), {{"mode", "0711"}, {"size", "1m"}, {"nr_inodes", "4096"}});
}

Result<UniqueFd> MountStoreImage(const BrokerConf& conf, const std::string& digest) {
  UniqueFd file = TRY(OpenStoreImage(conf, digest));
  UniqueFd loop = TRY(AttachLoop(file.get(), 0, 0));
  return TRY_CONTEXT(MountNew("squashfs", {{"source", TRY(LoopPath(loop.get()))}, {"ro", ""}},
                              MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV),
                     Cat("image ", digest));
}

Result<UniqueFd> CloneStoreMount(const BrokerConf& conf, const std::string& digest) {
  return OpenTreeClone(AT_FDCWD, ImageMountPath(conf, MountName(digest)), false);
}

Result<bool> GiveToUser(int mount_fd, const UserIds& owner) {
  auto given = MapRootOfMount(mount_fd, owner.uid, owner.gid);
  if (!given && given.error().sys_errno != EINVAL) return Failure(std::move(given).error());
  return given.has_value();
}

Result<> AttachStoreImage(const BrokerConf& conf, const std::string& mount_name, int mount_fd) {
  std::string path = ImageMountPath(conf, mount_name);
  if (::mkdir(path.c_str(), 0755) < 0 && errno != EEXIST) return ErrnoFail("mkdir", path);
  UniqueFd target = TRY(Open(path, O_PATH | O_DIRECTORY));
  auto attached = AttachMount(mount_fd, target.get());
  if (!attached) ::rmdir(path.c_str());
  return attached;
}

}  // namespace slipway
