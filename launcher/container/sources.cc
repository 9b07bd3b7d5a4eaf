// SPDX-License-Identifier: Apache-2.0
#include "launcher/container/sources.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <climits>
#include <optional>
#include <string_view>

#include "base/os/link.h"
#include "base/os/mount.h"
#include "launcher/container/fuse2fs.h"
#include "launcher/container/policy.h"

namespace slipway {
namespace {

bool IsBelowOrSame(std::string_view path, std::string_view folder) {
  if (folder == "/") return true;
  return path.starts_with(folder) && (path.size() == folder.size() || path[folder.size()] == '/');
}

Result<std::string> PathOf(int fd) { return ReadLink(Cat("/proc/self/fd/", fd)); }

// Where the broker keeps the images of all steps; "" where there is none.
Result<std::string> NodesImages(const Birth& birth) {
  if (birth.image_path.empty()) return std::string();
  UniqueFd folder = TRY(Open(birth.image_path.substr(0, birth.image_path.rfind('/')), O_PATH | O_DIRECTORY));
  return PathOf(folder.get());
}

// Where in `source_fd`'s tree those are: nothing when it does not hold them; an error when it lies among
// them.
Result<std::string> ImagesBelow(int source_fd, const std::string& source, const std::string& images) {
  if (images.empty()) return std::string();
  std::string real = TRY(PathOf(source_fd));
  if (IsBelowOrSame(real, images)) {
    return Fail(Code::kPermissionDenied, source, ": it lies among the node's image mounts");
  }
  if (!IsBelowOrSame(images, real)) return std::string();
  return images.substr(real == "/" ? 1 : real.size() + 1);
}

// A recursive copy of the host's tree at `source`. statx, because it wakes automounts where stat and
// open_tree do not; one descriptor for check and copy, because the path is the user's to change.
Result<MountSource> CloneOf(const std::string& source, const std::string& images,
                            const ContainerPolicy& policy = {}, const Mount* judged = nullptr) {
  struct statx info {};
  if (::statx(AT_FDCWD, source.c_str(), 0, STATX_TYPE, &info) < 0) return ErrnoFail("bind source", source);
  MountSource opened;
  opened.directory = S_ISDIR(info.stx_mode);
  UniqueFd fd = TRY(Open(source, O_PATH));
  opened.covered = TRY(ImagesBelow(fd.get(), source, images));
  if (judged != nullptr) TRY(JudgeBind(policy, TRY(FactsOfBind(policy, *judged, fd.get()))));
  opened.tree = TRY(OpenTreeClone(fd.get(), "", opened.directory));
  return opened;
}

Result<> Restrict(const MountSource& source, std::uint64_t more, bool recursive = true) {
  std::uint64_t attributes = MOUNT_ATTR_NOSUID | more | (source.mount->read_only ? MOUNT_ATTR_RDONLY : 0);
  return SetMountAttributes(source.tree.get(), attributes, 0, recursive);
}

Result<UniqueFd> Tmpfs(const std::string& options) {
  std::vector<FsParameter> parameters;
  for (std::size_t start = 0; start < options.size();) {
    auto end = options.find(',', start);
    if (end == std::string::npos) end = options.size();
    std::string option = options.substr(start, end - start);
    auto equals = option.find('=');
    if (!option.empty())
      parameters.push_back(
          {option.substr(0, equals), equals == std::string::npos ? "" : option.substr(equals + 1)});
    start = end + 1;
  }
  return MountNew("tmpfs", parameters, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
}

// What a bind's options take away; "ro" is a field of its own.
std::uint64_t TakenAway(std::string_view options) {
  std::uint64_t attributes = 0;
  while (!options.empty()) {
    auto comma = options.find(',');
    std::string_view option = options.substr(0, comma);
    if (option == "nodev") attributes |= MOUNT_ATTR_NODEV;
    if (option == "noexec") attributes |= MOUNT_ATTR_NOEXEC;
    options.remove_prefix(comma == std::string_view::npos ? options.size() : comma + 1);
  }
  return attributes;
}

Result<> RestrictAsAsked(const MountSource& source) {
  const Mount& mount = *source.mount;
  bool kernels = mount.type == Mount::kProc || mount.type == Mount::kSys;
  std::uint64_t more = kernels ? MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC : 0;
  if (mount.type == Mount::kSys) more |= MOUNT_ATTR_RDONLY;
  if (mount.type == Mount::kBind) more |= TakenAway(mount.options);
  TRY_CONTEXT(Restrict(source, more, source.directory), Cat("restricting the mount for ", mount.target));
  if (mount.propagation == Mount::kPrivate)
    TRY_CONTEXT(SetPropagation(source.tree.get(), MS_PRIVATE, source.directory),
                Cat("making the mount for ", mount.target, " private"));
  return {};
}

bool MayBeSkipped(const Mount& mount, const Error& error) {
  return mount.optional && (error.code == Code::kPermissionDenied || error.sys_errno == ENOENT ||
                            error.sys_errno == EACCES || error.sys_errno == ENOTDIR);
}

Result<MountSource> OpenSource(const Mount& mount, const std::string& images, const ContainerPolicy& policy,
                               UniqueFd& fresh_proc) {
  MountSource source;
  switch (mount.type) {
    case Mount::kTmpfs:
      source.tree = TRY(Tmpfs(mount.options));
      break;
    case Mount::kImage:
      TRY(JudgeBind(policy, {.source = mount.source, .target = mount.target}));
      break;
    case Mount::kDev:
      break;
    case Mount::kProc:
      if (!fresh_proc) return CloneOf("/proc", {});
      source.tree = std::move(fresh_proc);
      break;
    case Mount::kSys:
      return CloneOf("/sys", {});
    default:
      return CloneOf(mount.source, images, policy, mount.forced ? nullptr : &mount);
  }
  return source;
}

}  // namespace

Result<> RefuseNodesImages(int fd, const std::string& source, const Birth& birth) {
  TRY(ImagesBelow(fd, source, TRY(NodesImages(birth))));
  return {};
}

Result<FuseImage> ServeImage(const ImageSource& image, const std::vector<UniqueFd>& fds, const Birth& birth,
                             ImageOwner owner) {
  int fd = fds.at(static_cast<std::size_t>(image.fd)).get();
  if (image.kind == ImageKind::kSquashfuse) return ServeSquashfs(image, fd, owner);
  if (!birth.own_namespace) {
    return Fail(
        Code::kPermissionDenied,
        "an ext3 image is served by a program with rights that only a namespace of your own can give; "
        "--userns makes one (a squashfs can be used either way)");
  }
  return ServeExt(image, fd, ExtUse::kRead);
}

Result<std::vector<MountSource>> OpenMountSources(const LaunchSpec& spec, const std::vector<UniqueFd>& fds,
                                                  const Birth& birth, UniqueFd fresh_proc) {
  std::string images = TRY(NodesImages(birth));
  std::vector<MountSource> sources;
  for (const Mount& mount : spec.mounts) {
    auto opened = OpenSource(mount, images, birth.policy, fresh_proc);
    if (!opened) {
      if (MayBeSkipped(mount, opened.error())) continue;
      return Failure(std::move(opened).error());
    }
    opened->mount = &mount;
    if (opened->tree) TRY(RestrictAsAsked(*opened));
    sources.push_back(std::move(*opened));
  }
  for (MountSource& source : sources) {
    if (source.mount->type != Mount::kImage) continue;
    source.image = TRY_CONTEXT(ServeImage(source.mount->image, fds, birth, ImageOwner::kAsMapped),
                               Cat("mounting ", source.mount->source));
  }
  return sources;
}

}  // namespace slipway
