// SPDX-License-Identifier: Apache-2.0
#include "launcher/container/image_layers.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "base/os/mount.h"
#include "launcher/container/fuse_overlayfs.h"
#include "launcher/container/policy.h"
#include "launcher/container/sources.h"

namespace slipway {
namespace {

constexpr uid_t kOverflowUid = 65534;  // what an id that our namespace does not know looks like

std::string ProcPath(int fd) { return Cat("/proc/self/fd/", fd); }

bool InFile(const ImageSource& image) {
  return image.kind == ImageKind::kSquashfuse || image.kind == ImageKind::kFuse2fs;
}

bool HasMarks(int root_fd) {
  return OpenInRoot(root_fd, "work/work", O_PATH | O_DIRECTORY | O_NOFOLLOW).has_value();
}

Result<UniqueFd> NeedFolder(int dir_fd, const std::string& name) {
  if (::mkdirat(dir_fd, name.c_str(), 0755) < 0 && errno != EEXIST) return ErrnoFail("mkdir", name);
  return OpenAt(dir_fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW);
}

}  // namespace

const ImageLayers::Source* ImageLayers::Upper() const {
  return !overlays_.empty() && overlays_.back().upper ? &overlays_.back() : nullptr;
}

ImageOwner ImageLayers::Owner() const {
  if (spec_.fakeroot) return ImageOwner::kEveryones;
  bool writes = spec_.writable_tmpfs;
  for (const Overlay& overlay : spec_.writing.overlays) writes = writes || overlay.writable;
  return writes && birth_.own_namespace ? ImageOwner::kUser : ImageOwner::kAsMapped;
}

Result<ImageLayers::Source> ImageLayers::OpenSource(const ImageSource& image) {
  Source source;
  if (!InFile(image)) {
    source.root = TRY(slipway::Open(image.path, O_PATH | O_DIRECTORY));
    TRY(RefuseNodesImages(source.root.get(), image.path, birth_));
    return source;
  }
  auto served = ServeImage(image, fds_, birth_, Owner());
  // A host may allow one user namespace and no other within it: then root's files are nobody's.
  if (!served && Owner() == ImageOwner::kUser)
    served = ServeImage(image, fds_, birth_, ImageOwner::kAsMapped);
  if (!served) return Failure(std::move(served).error());
  source.root = std::move(served->mount);
  source.server = std::move(served->server);
  source.detached = true;
  return source;
}

Result<ImageLayers::Source> ImageLayers::OpenOverlay(const Overlay& overlay) {
  if (!overlay.writable) return OpenSource(overlay.image);
  Source source;
  if (InFile(overlay.image)) {
    if (!ext_writer_) return Fail(Code::kInvalidArgument, "a squashfs cannot be written to; add :ro");
    std::string warning;
    source.root = TRY(ext_writer_->AwaitTree(warning));
    source.detached = true;
    if (!warning.empty()) report_.Warn(Cat("warning: --overlay ", overlay.name, ": ", warning));
    return source;
  }
  // Not O_PATH: folders are made in it.
  source.root = TRY(slipway::Open(overlay.image.path, O_RDONLY | O_DIRECTORY));
  TRY(RefuseNodesImages(source.root.get(), overlay.name, birth_));
  source.upper = TRY(NeedFolder(source.root.get(), "upper"));
  source.work = TRY(NeedFolder(source.root.get(), "work"));
  return source;
}

Result<> ImageLayers::Open() {
  bool handed_on = !birth_.image_path.empty();
  if (handed_on != (spec_.image.kind == ImageKind::kInherited)) {
    return Fail(Code::kPermissionDenied, handed_on
                                             ? "this step runs the image that was signed for it, no other"
                                             : "no image was handed on to this container");
  }
  if (handed_on) {
    TRY(JudgeImage(birth_.policy,
                   {.name = "of the store", .kind = "store", .signed_by = birth_.image_signed_by}));
    image_.root = TRY_CONTEXT(slipway::Open(birth_.image_path, O_PATH | O_DIRECTORY), "image");
  } else if (InFile(spec_.image)) {
    // Before anything reads it, on the descriptor that will be read.
    int file = fds_.at(static_cast<std::size_t>(spec_.image.fd)).get();
    TRY(JudgeImage(birth_.policy, TRY(FactsOf(birth_.policy, spec_.image, file))));
    image_ = TRY(OpenSource(spec_.image));
  } else {
    image_ = TRY_CONTEXT(OpenSource(spec_.image), "image");
    TRY(JudgeImage(birth_.policy, TRY(FactsOf(birth_.policy, spec_.image, image_.root.get()))));
  }
  for (const Overlay& overlay : spec_.writing.overlays)
    overlays_.push_back(TRY_CONTEXT(OpenOverlay(overlay), Cat("--overlay ", overlay.name)));
  return {};
}

Result<> ImageLayers::AttachSource(int scratch_fd, const std::string& name, Source& source) {
  if (!source.detached) return {};
  UniqueFd place = TRY(NeedFolder(scratch_fd, name));
  return AttachMount(source.root.get(), place.get());
}

// Of a writable ext image.
Result<> ImageLayers::TakeUpper(const Overlay& overlay, Source& source) {
  source.upper = TRY(OpenInRoot(source.root.get(), "upper", O_PATH | O_DIRECTORY | O_NOFOLLOW));
  struct stat info {};
  if (::fstat(source.upper.get(), &info) < 0) return ErrnoFail("stat", overlay.name);
  if (info.st_uid != kOverflowUid && info.st_gid != kOverflowUid) return {};
  return Fail(Code::kPermissionDenied,
              "its files belong to a user or group that does not exist in this container: ",
              spec_.fakeroot ? "the image was not made for --fakeroot with these ids"
                             : "the image is one of root's, to be used with --fakeroot");
}

Result<> ImageLayers::PlaceOverlay(int scratch_fd, std::size_t index) {
  const Overlay& overlay = spec_.writing.overlays[index];
  Source& source = overlays_[index];
  TRY(AttachSource(scratch_fd, Cat("overlay", index), source));
  if (overlay.writable) return source.upper ? Result<>() : TakeUpper(overlay, source);
  // A squashfs is the tree itself; the others may have been written to as overlays.
  if (overlay.image.kind == ImageKind::kSquashfuse) return {};
  UniqueFd root = TRY(Dup(source.root.get()));
  auto upper = OpenInRoot(root.get(), "upper", O_PATH | O_DIRECTORY | O_NOFOLLOW);
  if (!upper && upper.error().sys_errno != ENOENT) return Failure(std::move(upper).error());
  if (upper) source.root = std::move(*upper);
  source.written = overlay.image.kind == ImageKind::kFuse2fs && HasMarks(root.get());
  return {};
}

Result<> ImageLayers::AttachTo(int scratch_fd) {
  layer_ = TRY(NeedFolder(scratch_fd, "layer"));
  work_ = TRY(NeedFolder(scratch_fd, "work"));
  TRY_CONTEXT(AttachSource(scratch_fd, "image", image_), "attaching the image");
  for (std::size_t i = 0; i < overlays_.size(); ++i) {
    auto placed = PlaceOverlay(scratch_fd, i);
    if (!placed) {
      const std::string& name = spec_.writing.overlays[i].name;
      return Failure(std::move(placed).error().Context(Cat("--overlay ", name)));
    }
  }
  return Merge(scratch_fd);
}

// What was removed from an ext image is marked in fuse-overlayfs's way. One that nobody wrote to through an
// overlay (whoever does leaves a folder in "work") is laid over the image by the kernel, at its speed.
Result<> ImageLayers::Merge(int scratch_fd) {
  const std::string* marked = nullptr;
  for (std::size_t i = 0; i < overlays_.size(); ++i) {
    if (overlays_[i].written) marked = &spec_.writing.overlays[i].name;
  }
  if (marked == nullptr || ext_writer_) return {};
  if (!HasFuseOverlayfs()) {
    report_.Warn(
        Cat("warning: --overlay ", *marked,
            ": files that were removed in it may be seen again: it takes fuse-overlayfs to know them "
            "(Debian: apt install fuse-overlayfs)"));
    return {};
  }
  auto served = ServeMerged(Lowers(), spec_.fakeroot);
  if (!served) return Failure(std::move(served).error().Context(Cat("--overlay ", *marked)));
  merged_ = {.root = std::move(served->mount), .server = std::move(served->server), .detached = true};
  return AttachSource(scratch_fd, "merged", merged_);
}

// The highest first, without an upper one and our own.
std::vector<int> ImageLayers::Lowers() const {
  if (merged_.root) return {merged_.root.get()};
  std::vector<int> lowers;
  for (auto overlay = overlays_.rbegin(); overlay != overlays_.rend(); ++overlay) {
    if (!overlay->upper) lowers.push_back(overlay->root.get());
  }
  lowers.push_back(image_.root.get());
  return lowers;
}

Result<int> ImageLayers::View() {
  if (overlays_.empty()) return image_.root.get();
  if (merged_.root && Upper() == nullptr) return merged_.root.get();
  std::string lowers;
  if (Upper() != nullptr) lowers = ProcPath(Upper()->upper.get());
  for (int fd : Lowers()) lowers += Cat(lowers.empty() ? "" : ":", ProcPath(fd));
  view_ = TRY_CONTEXT(MountNew("overlay", {{"source", "slipway"}, {"userxattr", ""}, {"lowerdir", lowers}},
                               MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV),
                      "laying the overlays over the image");
  return view_.get();
}

Result<UniqueFd> ImageLayers::MakeExtOverlay(bool layer_used) {
  std::vector<int> lowers = Lowers();
  if (layer_used) lowers.insert(lowers.begin(), layer_.get());
  return ext_writer_->MakeRoot(lowers);
}

Result<UniqueFd> ImageLayers::MakeOverlay(bool layer_used) {
  if (ext_writer_) return MakeExtOverlay(layer_used);
  std::vector<FsParameter> parameters = {{"source", "slipway"}, {"userxattr", ""}};
  std::string lowers;
  for (int fd : Lowers()) lowers += Cat(lowers.empty() ? "" : ":", ProcPath(fd));
  std::string layer = ProcPath(layer_.get());
  std::uint64_t attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
  if (spec_.writable_tmpfs) {
    parameters.insert(parameters.end(),
                      {{"lowerdir", lowers}, {"upperdir", layer}, {"workdir", ProcPath(work_.get())}});
    return MountNew("overlay", parameters, attributes);
  }
  // What is only read needs no upper layer: ours is simply the highest of the lower ones.
  parameters.push_back({"lowerdir", layer_used ? Cat(layer, ":", lowers) : lowers});
  if (Upper() == nullptr) return MountNew("overlay", parameters, attributes | MOUNT_ATTR_RDONLY);
  parameters.push_back({"upperdir", ProcPath(Upper()->upper.get())});
  parameters.push_back({"workdir", ProcPath(Upper()->work.get())});
  auto mount = MountNew("overlay", parameters, attributes);
  if (mount) return mount;
  return Failure(std::move(mount).error().Context(Cat(
      "--overlay ", spec_.writing.overlays.back().name,
      ": its file system may not be one that the kernel can lay over an image for writing (ext4, xfs, btrfs "
      "and tmpfs are; NFS, Lustre, GPFS and overlays are not)")));
}

Result<UniqueFd> ImageLayers::CloneImage(bool read_only) {
  UniqueFd root = TRY(OpenTreeClone(image_.root.get(), "", spec_.image.kind == ImageKind::kDirectory));
  TRY(SetMountAttributes(root.get(), MOUNT_ATTR_NOSUID | (read_only ? MOUNT_ATTR_RDONLY : 0), 0, true));
  return root;
}

// A copy-up keeps the owner, which the kernel refuses for one that our user namespace does not know.
void ImageLayers::WarnOfOthersFiles() {
  struct stat info {};
  if (::fstat(image_.root.get(), &info) < 0 || info.st_uid != kOverflowUid) return;
  const char* cure = InFile(spec_.image) ? "--fakeroot"
                     : spec_.image.kind == ImageKind::kInherited
                         ? "Linux 6.2 or newer, which can show them as yours"
                         : "a copy of the image that is yours";
  report_.Warn(
      Cat("warning: files of this image that belong to root can be seen but not changed or removed, and in "
          "most of its folders nothing can be made: their owner does not exist in this container. It takes ",
          cure));
}

Result<UniqueFd> ImageLayers::MakeRoot(bool layer_used) {
  view_.reset();
  layered_ = false;
  if (spec_.writing.in_place) return CloneImage(false);
  if (merged_.root && !writable() && !layer_used) return OpenTreeClone(merged_.root.get(), "", false);
  bool needed = writable() || !overlays_.empty();
  if (!needed && !layer_used) return CloneImage(true);
  auto overlay = MakeOverlay(layer_used);
  if (overlay) {
    layered_ = layer_used || spec_.writable_tmpfs;
    if (writable()) WarnOfOthersFiles();
    return overlay;
  }
  if (needed) {
    return Failure(
        std::move(overlay).error().Context(writable() ? "a writable layer over this image cannot be had here"
                                                      : "an overlay over this image cannot be had here"));
  }
  report_.Warn(Cat("warning: no overlay over this image (", overlay.error().message,
                   "): only mount points that it has can be used"));
  return CloneImage(true);
}

Error ImageLayers::WithWords(Error error) const {
  if (merged_.server.pid >= 0) return WithServersWords(std::move(error), merged_.server);
  if (image_.server.pid >= 0) return WithServersWords(std::move(error), image_.server);
  for (const Source& overlay : overlays_) {
    if (overlay.server.pid >= 0) return WithServersWords(std::move(error), overlay.server);
  }
  if (ext_writer_) return ext_writer_->WithWords(std::move(error));
  return error;
}

std::vector<FuseServer> ImageLayers::TakeServers() {
  std::vector<FuseServer> servers;
  if (merged_.server.pid >= 0) servers.push_back(std::move(merged_.server));
  if (image_.server.pid >= 0) servers.push_back(std::move(image_.server));
  for (Source& overlay : overlays_) {
    if (overlay.server.pid >= 0) servers.push_back(std::move(overlay.server));
  }
  return servers;
}

}  // namespace slipway
