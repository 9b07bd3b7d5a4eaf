// SPDX-License-Identifier: Apache-2.0
#include "launcher/container/root.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <string_view>

#include "base/os/mount.h"
#include "launcher/container/dev.h"
#include "launcher/container/layer.h"
#include "launcher/container/policy.h"
#include "launcher/container/sources.h"
#include "launcher/container/squashfuse.h"

namespace slipway {
namespace {

std::string ProcPath(int fd) { return Cat("/proc/self/fd/", fd); }

bool Covers(const std::string& mount_target, const std::string& path) {
  std::string_view folder = mount_target;
  while (folder.size() > 1 && folder.back() == '/') folder.remove_suffix(1);
  if (folder == "/") return true;
  return path.starts_with(folder) && (path.size() == folder.size() || path[folder.size()] == '/');
}

class TreeBuilder {
 public:
  TreeBuilder(const Birth& birth, const LaunchSpec& spec, const std::vector<UniqueFd>& fds, Report& report)
      : birth_(birth), spec_(spec), fds_(fds), report_(report) {}

  Result<ContainerTree> Build(UniqueFd fresh_proc) {
    if (::mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) < 0)
      return ErrnoFail("making the mounts slaves of the host's");
    TRY(OpenImage());
    sources_ = TRY(OpenMountSources(spec_, birth_, std::move(fresh_proc)));
    report_.EndLap("sources");
    TRY(MakeScratch());
    if (auto made = MakeLayer(); !made) return Failure(WithServersWords(std::move(made).error(), fuse_));
    report_.EndLap("image");
    TRY(MakeRoot());
    report_.EndLap("root");
    for (const MountSource& source : sources_) TRY(Attach(source));
    TRY(BindFiles());
    report_.EndLap("mounts");
    TRY(PivotInto(root_.get()));
    // The pivot took our scratch, which lay on the old root, away first; the old root is what is left on top.
    if (::umount2("/", MNT_DETACH) < 0) return ErrnoFail("letting the host's tree go");
    report_.EndLap("pivot");
    return ContainerTree{fuse_.server};
  }

 private:
  Result<> OpenImage() {
    const ImageSource& image = spec_.image;
    bool handed_on = !birth_.image_path.empty();
    if (handed_on != (image.kind == ImageKind::kInherited)) {
      return Fail(Code::kPermissionDenied, handed_on
                                               ? "this step runs the image that was signed for it, no other"
                                               : "no image was handed on to this container");
    }
    if (image.kind == ImageKind::kSquashfuse) {
      int file = fds_.at(static_cast<std::size_t>(image.fd)).get();
      TRY(JudgeImage(birth_.policy, TRY(FactsOf(birth_.policy, image, file))));
      fuse_ = TRY(ServeImage(image, file));
      return {};
    }
    image_ = TRY_CONTEXT(Open(handed_on ? birth_.image_path : image.path, O_PATH | O_DIRECTORY), "image");
    if (handed_on) return JudgeImage(birth_.policy, {.name = "of the store", .kind = "store"});
    return JudgeImage(birth_.policy, TRY(FactsOf(birth_.policy, image, image_.get())));
  }

  // A tmpfs over "/": path look-ups, which begin at our root below it, never see it.
  Result<> MakeScratch() {
    std::vector<FsParameter> parameters = {{"mode", "0755"}, {"source", "slipway"}};
    if (birth_.policy.tmpfs_bytes != 0)
      parameters.push_back({"size", std::to_string(birth_.policy.tmpfs_bytes)});
    scratch_ = TRY(MountNew("tmpfs", parameters, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV));
    old_root_ = TRY(Open("/", O_PATH | O_DIRECTORY));
    TRY_CONTEXT(AttachMount(scratch_.get(), old_root_.get()), "attaching the container's scratch");
    for (const char* name : {"layer", "work", "image"}) {
      if (::mkdirat(scratch_.get(), name, 0755) < 0)
        return ErrnoFail("mkdir in the container's scratch", name);
    }
    layer_ = TRY(OpenAt(scratch_.get(), "layer", O_PATH | O_DIRECTORY));
    if (fuse_.mount) {
      UniqueFd place = TRY(OpenAt(scratch_.get(), "image", O_PATH | O_DIRECTORY));
      TRY_CONTEXT(AttachMount(fuse_.mount.get(), place.get()), "attaching the image");
      image_ = std::move(fuse_.mount);
    }
    return {};
  }

  const Mount* CoveringMount(const std::string& target, const Mount* before) const {
    const Mount* covering = nullptr;
    for (const MountSource& source : sources_) {
      if (source.mount == before) break;
      if (Covers(source.mount->target, target)) covering = source.mount;
    }
    return covering;
  }

  // A target below an earlier mount is that mount's affair; all others get their mount point here.
  Result<> MakeLayer() {
    Layer layer(image_.get(), layer_.get());
    for (const MountSource& source : sources_) {
      if (CoveringMount(source.mount->target, source.mount) != nullptr) continue;
      TRY(layer.NeedMountPoint(source.mount->target, source.directory));
    }
    for (const InjectedFile& file : spec_.files) {
      if (CoveringMount(file.target, nullptr) != nullptr) continue;
      TRY(file.account_line ? layer.AddAccountLine(file.target, file.content)
                            : layer.PutFile(file.target, file.content, file.mode));
    }
    layer_used_ = layer.used();
    return {};
  }

  Result<> MakeRoot() {
    if (layer_used_ || spec_.writable_tmpfs) {
      auto overlay = MakeOverlay();
      if (overlay) {
        root_ = std::move(*overlay);
      } else if (spec_.writable_tmpfs) {
        return Failure(
            std::move(overlay).error().Context("a writable layer over this image cannot be had here"));
      } else {
        report_.Warn(Cat("warning: no overlay over this image (", overlay.error().message,
                         "): only mount points that it has can be used"));
        layer_used_ = false;
        overlay_failed_ = true;
      }
    }
    if (!root_) {
      root_ = TRY(OpenTreeClone(image_.get(), "", spec_.image.kind == ImageKind::kDirectory));
      TRY(SetMountAttributes(root_.get(), MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID, 0, true));
    }
    TRY_CONTEXT(AttachMount(root_.get(), old_root_.get()), "attaching the container's root");
    return {};
  }

  Result<UniqueFd> MakeOverlay() {
    std::string layer = ProcPath(layer_.get()), image = ProcPath(image_.get());
    std::vector<FsParameter> parameters = {{"source", "slipway"}, {"userxattr", ""}};
    if (spec_.writable_tmpfs) {
      UniqueFd work = TRY(OpenAt(scratch_.get(), "work", O_PATH | O_DIRECTORY));
      parameters.push_back({"lowerdir", image});
      parameters.push_back({"upperdir", layer});
      parameters.push_back({"workdir", ProcPath(work.get())});
      return MountNew("overlay", parameters, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
    }
    // Read-only needs no upper layer: ours is simply the higher of two lower ones.
    parameters.push_back({"lowerdir", Cat(layer, ":", image)});
    return MountNew("overlay", parameters, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
  }

  // `target` below a file system of our own, which may lack it still.
  Result<UniqueFd> MakeInOwnMount(const std::string& target, bool directory) {
    for (auto end = target.find('/', 1);; end = target.find('/', end + 1)) {
      std::string part = target.substr(0, end);
      bool last = end == std::string::npos;
      auto there = OpenInRoot(root_.get(), part, O_PATH);
      if (there && last) return there;
      if (there) continue;
      if (there.error().sys_errno != ENOENT) return there;
      auto slash = part.rfind('/');
      UniqueFd parent =
          TRY(OpenInRoot(root_.get(), slash == 0 ? "/" : part.substr(0, slash), O_PATH | O_DIRECTORY));
      std::string name = part.substr(slash + 1);
      if (!last || directory) {
        if (::mkdirat(parent.get(), name.c_str(), 0755) < 0) return ErrnoFail("making the mount point", part);
      } else {
        [[maybe_unused]] UniqueFd made =
            TRY(OpenAt(parent.get(), name, O_WRONLY | O_CREAT | O_NOFOLLOW, 0644));
      }
      if (last) return OpenInRoot(root_.get(), part, O_PATH);
    }
  }

  Result<UniqueFd> OpenTarget(const std::string& target, bool directory, const Mount* covering) {
    auto there = OpenInRoot(root_.get(), target, O_PATH);
    if (there || there.error().sys_errno != ENOENT) return there;
    if (covering == nullptr) return Fail(Code::kFailedPrecondition, "the image has no mount point ", target);
    if (covering->type == Mount::kTmpfs || covering->type == Mount::kDev)
      return MakeInOwnMount(target, directory);
    return Fail(Code::kFailedPrecondition, "the mount point ", target, " does not exist in ",
                covering->source, ", which is mounted above it at ", covering->target);
  }

  // The images of other steps are not this user's to see. He cannot take the cover off: he has no privilege
  // in this user namespace, and in one of his own it is locked.
  Result<> Cover(const MountSource& source) {
    UniqueFd cover = TRY(MountNew("tmpfs", {{"mode", "0555"}, {"size", "4k"}},
                                  MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV));
    UniqueFd images = TRY(OpenAt(source.tree.get(), source.covered, O_PATH | O_DIRECTORY | O_NOFOLLOW));
    return AttachMount(cover.get(), images.get());
  }

  Result<> Attach(const MountSource& source) {
    const Mount& mount = *source.mount;
    bool attached = false;
    auto outcome = [&]() -> Result<> {
      UniqueFd target = TRY(OpenTarget(mount.target, source.directory, CoveringMount(mount.target, &mount)));
      if (mount.type == Mount::kDev) return MakeDev(target.get(), report_);
      TRY(AttachMount(source.tree.get(), target.get()));
      attached = true;
      if (!source.covered.empty()) TRY(Cover(source));
      return {};
    }();
    if (outcome || (mount.optional && !attached)) return {};
    return Failure(std::move(outcome).error().Context(
        Cat("mounting ", mount.source.empty() ? "" : mount.source + " at ", mount.target)));
  }

  // Files whose place is below a mount, or that a missing overlay left homeless, are bound from the scratch.
  Result<> BindFiles() {
    int number = 0;
    for (const InjectedFile& file : spec_.files) {
      const Mount* covering = CoveringMount(file.target, nullptr);
      bool in_layer = covering == nullptr && (layer_used_ || !overlay_failed_);
      if (in_layer || file.account_line) continue;
      std::string name = Cat("file", number++);
      UniqueFd fd = TRY(OpenAt(scratch_.get(), name, O_WRONLY | O_CREAT | O_EXCL, file.mode));
      if (::fchmod(fd.get(), file.mode & 0777) < 0) return ErrnoFail("chmod", file.target);
      TRY(WriteAll(fd.get(), file.content));
      UniqueFd tree = TRY(OpenTreeClone(scratch_.get(), name, false));
      TRY(SetMountAttributes(tree.get(), MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, 0, false));
      UniqueFd target = TRY_CONTEXT(OpenTarget(file.target, false, covering), Cat("placing ", file.target));
      TRY_CONTEXT(AttachMount(tree.get(), target.get()), Cat("placing ", file.target));
    }
    return {};
  }

  const Birth& birth_;
  const LaunchSpec& spec_;
  const std::vector<UniqueFd>& fds_;
  Report& report_;

  FuseImage fuse_;
  std::vector<MountSource> sources_;
  UniqueFd old_root_;  // "/" as it was
  UniqueFd scratch_, layer_, image_, root_;
  bool layer_used_ = false, overlay_failed_ = false;
};

}  // namespace

Result<ContainerTree> BuildAndEnterTree(const Birth& birth, const LaunchSpec& spec,
                                        const std::vector<UniqueFd>& fds, UniqueFd fresh_proc,
                                        Report& report) {
  TreeBuilder builder(birth, spec, fds, report);
  return builder.Build(std::move(fresh_proc));
}

}  // namespace slipway
