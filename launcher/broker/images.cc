// SPDX-License-Identifier: Apache-2.0
#include "launcher/broker/images.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "base/crypto/crypto.h"
#include "base/os/mount.h"
#include "launcher/broker/image_mount.h"

namespace slipway {

Result<std::string> HashUnwritable(int fd) {
  TRY_CONTEXT(ProveUnwritable(fd), "the image (close it, or give a read-only descriptor)");
  if (::fsync(fd) < 0) return ErrnoFail("fsync of the image");
  return DigestOfFile(fd);
}

namespace {
std::string DigestOf(const std::string& mount_name) {
  constexpr std::size_t kHexDigits = 64;
  return "sha256:" + mount_name.substr(0, kHexDigits);
}
}  // namespace

Result<> ImageKeeper::Open() {
  if (conf_.rootless) return {};
  for (const std::string& name : TRY(NamesIn(conf_.mounts_dir()))) {
    if (!IsDigest(DigestOf(name))) continue;
    std::string path = Cat(conf_.mounts_dir(), "/", name);
    if (TRY(IsMountPoint(path, conf_.mounts_dir())))
      mounted_.push_back(name);
    else
      ::rmdir(path.c_str());
  }
  return {};
}

Result<UniqueFd> MakeNamelessImage(const BrokerConf& conf) {
  return slipway::Open(conf.image_dir, O_TMPFILE | O_RDWR, 0600);
}

void ImageKeeper::Admit(const std::string& digest, UniqueFd file, uid_t owner, Done done) {
  auto begun = [&]() -> Result<> {
    TRY(CheckDigest(digest));
    if (::access(ImageFilePath(conf_, digest).c_str(), F_OK) == 0) return done({}), Result<>{};
    struct stat info, store;
    if (::fstat(file.get(), &info) < 0) return ErrnoFail("fstat");
    if (!S_ISREG(info.st_mode)) return Fail(Code::kInvalidArgument, "the image is not a regular file");
    if (::stat(conf_.image_dir.c_str(), &store) < 0) return ErrnoFail("stat", conf_.image_dir);
    bool his_own = info.st_uid == owner && (owner != 0 || info.st_nlink == 0);
    bool adopt = his_own && info.st_dev == store.st_dev && info.st_size > 0;
    if (adopt && ((!conf_.rootless && ::fchown(file.get(), 0, 0) < 0) || ::fchmod(file.get(), 0444) < 0))
      return ErrnoFail("taking over the image");
    UniqueFd source = TRY(ReopenReadOnly(file.get()));
    file.reset();  // it may be open for writing: the lease would find our own
    auto ours = std::make_shared<UniqueFd>(adopt ? std::move(source) : TRY(MakeNamelessImage(conf_)));
    Workers::Work work;
    if (adopt)
      work = [fd = ours->get()] { return HashUnwritable(fd); };
    else
      work = [from = std::make_shared<UniqueFd>(std::move(source)), to = ours->get()] {
        return CopyAndDigest(from->get(), to);
      };
    workers_.Run(std::move(work), [this, digest, ours, done](Result<std::string> hashed) {
      done([&]() -> Result<> {
        std::string found = TRY(std::move(hashed));
        if (found != digest) return Fail(Code::kDataLoss, "the image's bytes are ", found, ", not ", digest);
        return LinkIntoStore(host_store_fd_, ours->get(), ImageFilePath(conf_, digest));
      }());
    });
    return {};
  }();
  if (!begun) done(std::move(begun));
}

Result<> LinkIntoStore(int store_fd, int file_fd, const std::string& path) {
  if (::fchmod(file_fd, 0444) < 0) return ErrnoFail("fchmod of the image");
  std::string from = Cat("/proc/self/fd/", file_fd);
  int linked = ::linkat(AT_FDCWD, from.c_str(), AT_FDCWD, path.c_str(), AT_SYMLINK_FOLLOW);
  // The kernel links within one mount only, and the agent's file is on the host's, not on the holder's copy.
  if (linked < 0 && errno == EXDEV && store_fd >= 0) {
    std::string name = path.substr(path.rfind('/') + 1);
    linked = ::linkat(AT_FDCWD, from.c_str(), store_fd, name.c_str(), AT_SYMLINK_FOLLOW);
  }
  if (linked < 0 && errno != EEXIST) return ErrnoFail("linking the image into the store as", path);
  return SyncFolderOf(path);
}

void ImageKeeper::Import(UniqueFd source, bool as_is, std::function<void(Result<ImportedImage>)> done) {
  auto file = std::make_shared<UniqueFd>(std::move(source));
  auto work = [&conf = conf_, store_fd = host_store_fd_, file, as_is]() -> Result<std::string> {
    return Encode(TRY(ImportFile(conf, store_fd, file->get(), as_is)));
  };
  importers_.Run(work, [done](Result<std::string> answer) {
    done(answer ? Decode<ImportedImage>(*answer, "imported image") : Failure(std::move(answer).error()));
  });
}

// An image is in use as long as it is in anybody's form.
bool ImageKeeper::InUse(const std::string& name) const {
  return std::ranges::any_of(users_, [&](auto& entry) { return entry.second.starts_with(name); });
}

Result<> ImageKeeper::Remove(const std::string& digest) {
  TRY(CheckDigest(digest));
  std::string name = MountName(digest);
  if (InUse(name)) return Fail(Code::kFailedPrecondition, "a step uses the image ", digest);
  for (auto at = mounted_.begin(); at != mounted_.end();)
    at = at->starts_with(name) ? TRY(Unmount(at)) : ++at;
  for (const std::string& path : {ImageFilePath(conf_, digest), ContentPath(conf_, digest),
                                  Cat(conf_.image_dir, "/", SignersFile(digest))})
    if (::unlink(path.c_str()) < 0 && errno != ENOENT) return ErrnoFail("unlink", path);
  return {};
}

Result<std::vector<StoredImage>> ImageKeeper::List() const {
  std::vector<StoredImage> images;
  for (const std::string& name : TRY(NamesIn(conf_.image_dir))) {
    if (!name.starts_with(kImageFilePrefix)) continue;
    std::string digest = "sha256:" + name.substr(std::strlen(kImageFilePrefix));
    struct stat info;
    if (!IsDigest(digest) || ::stat(ImageFilePath(conf_, digest).c_str(), &info) < 0) continue;
    images.push_back({digest, static_cast<std::uint64_t>(info.st_size), info.st_atim.tv_sec * 1000});
  }
  std::ranges::sort(images, {}, &StoredImage::digest);
  return images;
}

Result<std::list<std::string>::iterator> ImageKeeper::Unmount(std::list<std::string>::iterator at) {
  std::string path = ImageMountPath(conf_, *at);
  if (::umount2(path.c_str(), 0) < 0) return ErrnoFail("umount", path);
  ::rmdir(path.c_str());
  return mounted_.erase(at);
}

Result<> ImageKeeper::MakeRoom() {
  for (auto at = mounted_.end(); mounted_.size() >= mounts_max_ && at != mounted_.begin();) {
    if (!InUse(*--at)) at = TRY(Unmount(at));
  }
  if (mounted_.size() >= mounts_max_)
    return Fail(Code::kResourceExhausted, "steps use ", mounts_max_,
                " different images on this node already");
  return {};
}

Result<std::string> ImageKeeper::Mounted(const std::string& digest, const UserIds* owner) {
  std::string name = MountName(digest, owner);
  auto at = std::find(mounted_.begin(), mounted_.end(), name);
  if (at != mounted_.end()) {
    mounted_.splice(mounted_.begin(), mounted_, at);
    return name;
  }
  std::string plain;
  if (owner != nullptr) plain = TRY(Mounted(digest, nullptr));  // one page cache for both
  UniqueFd mount = TRY(owner != nullptr ? CloneStoreMount(conf_, digest) : MountStoreImage(conf_, digest));
  if (owner != nullptr && !TRY(GiveToUser(mount.get(), *owner))) return plain;
  TRY(MakeRoom());
  TRY(AttachStoreImage(conf_, name, mount.get()));
  mounted_.push_front(name);
  return name;
}

Result<std::string> ImageKeeper::Use(const std::string& digest, const StepId& step, const UserIds* owner) {
  TRY(CheckDigest(digest));
  if (conf_.rootless) TRY(OpenStoreImage(conf_, digest));
  std::string name = conf_.rootless ? MountName(digest) : TRY(Mounted(digest, owner));
  users_[step] = name;
  return conf_.rootless ? ImageFilePath(conf_, digest) : ImageMountPath(conf_, name);
}

void ImageKeeper::Release(const StepId& step) {
  auto at = users_.find(step);
  if (at == users_.end()) return;
  NoteUse(conf_, DigestOf(at->second));  // now, when nobody waits; until now it was in use
  users_.erase(at);
}

}  // namespace slipway
