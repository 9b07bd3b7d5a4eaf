// SPDX-License-Identifier: Apache-2.0
#include "launcher/container/root.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "base/os/mount.h"
#include "launcher/container/hook_stages.h"
#include "launcher/container/image_layers.h"
#include "launcher/container/layer.h"
#include "launcher/container/placement.h"
#include "launcher/container/policy.h"
#include "launcher/container/sources.h"

namespace slipway {
namespace {

class TreeBuilder {
 public:
  TreeBuilder(const Birth& birth, const LaunchSpec& spec, const std::vector<UniqueFd>& fds,
              std::optional<ExtWriter> ext_writer, Report& report)
      : birth_(birth),
        spec_(spec),
        fds_(fds),
        report_(report),
        shown_to_hooks_(HasHooksBeforePivot(spec)),
        images_(birth, spec, fds, std::move(ext_writer), report) {}

  Result<ContainerTree> Build(UniqueFd fresh_proc) {
    if (::mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) < 0)
      return ErrnoFail("making the mounts slaves of the host's");
    TRY(images_.Open());
    sources_ = TRY(OpenMountSources(spec_, fds_, birth_, std::move(fresh_proc)));
    report_.EndLap("sources");
    TRY(MakeScratch());
    TRY(TakeFromImages());
    UniqueFd layer_fd = TRY(OpenAt(scratch_.get(), "layer", O_PATH | O_DIRECTORY));
    int view_fd = TRY(WithWords(images_.View()));
    Layer layer(view_fd, layer_fd.get());
    Placement placement(spec_, sources_, layer, report_);
    TRY(WithWords(placement.Prepare()));
    report_.EndLap("image");
    UniqueFd root = TRY(WithWords(images_.MakeRoot(layer.used())));
    TRY_CONTEXT(AttachRoot(root.get()), "attaching the container's root");
    report_.EndLap("root");
    bool may_make = images_.writable() && !spec_.writing.in_place;
    TRY(placement.AttachAll(root.get(), scratch_.get(), images_.layered(), may_make));
    report_.EndLap("mounts");
    if (shown_to_hooks_) {
      TRY(RunHooksBeforePivot(birth_, spec_, scratch_.get(), report_));
      report_.EndLap("hooks");
    }
    TRY(PivotInto(root.get()));
    // The pivot took our scratch, which lay on the old root, away first; the old root is what is left on top.
    if (!shown_to_hooks_ && ::umount2("/", MNT_DETACH) < 0) return ErrnoFail("letting the host's tree go");
    report_.EndLap("pivot");
    return Finished();
  }

 private:
  template <class T>
  Result<T> WithWords(Result<T> result) {
    if (result) return result;
    return Failure(images_.WithWords(std::move(result).error()));
  }

  // A tmpfs over "/": path look-ups, which begin at our root below it, never see it.
  Result<> MakeScratch() {
    std::vector<FsParameter> parameters = {{"mode", "0755"}, {"source", "slipway"}};
    const std::string& asked = spec_.writing.tmpfs_size;
    if (std::string size = TmpfsSize(birth_.policy, asked); !size.empty())
      parameters.push_back({"size", size});
    scratch_ = TRY_CONTEXT(MountNew("tmpfs", parameters, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV),
                           "making the container's scratch");
    old_root_ = TRY(Open("/", O_PATH | O_DIRECTORY));
    UniqueFd shown;
    if (shown_to_hooks_) shown = TRY_CONTEXT(Open(kHookPlace, O_PATH | O_DIRECTORY), "the place for hooks");
    TRY_CONTEXT(AttachMount(scratch_.get(), shown ? shown.get() : old_root_.get()),
                "attaching the container's scratch");
    return images_.AttachTo(scratch_.get());
  }

  // Where hooks look for it, or over everything.
  Result<> AttachRoot(int root_fd) {
    if (!shown_to_hooks_) return AttachMount(root_fd, old_root_.get());
    if (::mkdirat(scratch_.get(), "rootfs", 0755) < 0) return ErrnoFail("mkdir in the container's scratch");
    UniqueFd place = TRY(OpenAt(scratch_.get(), "rootfs", O_PATH | O_DIRECTORY));
    return AttachMount(root_fd, place.get());
  }

  // Parts of images are mounts only once the image is attached somewhere.
  Result<> TakeFromImages() {
    int number = 0;
    for (MountSource& source : sources_) {
      if (source.mount->type != Mount::kImage) continue;
      const Mount& mount = *source.mount;
      auto taken = [&]() -> Result<> {
        std::string name = Cat("mount", number++);
        if (::mkdirat(scratch_.get(), name.c_str(), 0755) < 0) return ErrnoFail("mkdir in the scratch", name);
        UniqueFd place = TRY(OpenAt(scratch_.get(), name, O_PATH | O_DIRECTORY));
        TRY(AttachMount(source.image.mount.get(), place.get()));
        UniqueFd part = TRY(OpenInRoot(source.image.mount.get(), mount.options, O_PATH));
        struct stat info {};
        if (::fstat(part.get(), &info) < 0) return ErrnoFail("stat", mount.options);
        source.directory = S_ISDIR(info.st_mode);
        source.tree = TRY(OpenTreeClone(part.get(), "", false));
        return {};
      }();
      if (!taken) {
        return Failure(WithServersWords(
            std::move(taken).error().Context(Cat("mounting ", mount.options, " of ", mount.source)),
            source.image.server));
      }
    }
    return {};
  }

  ContainerTree Finished() {
    ContainerTree tree;
    tree.servers = images_.TakeServers();
    for (MountSource& source : sources_) {
      if (source.image.server.pid >= 0) tree.servers.push_back(std::move(source.image.server));
    }
    // Nobody reads it from here on: a full pipe must not stop a server.
    for (FuseServer& server : tree.servers) server.stderr_pipe.reset();
    return tree;
  }

  const Birth& birth_;
  const LaunchSpec& spec_;
  const std::vector<UniqueFd>& fds_;
  Report& report_;
  bool shown_to_hooks_;  // scratch and root then have a path, kHookPlace, until the pivot

  ImageLayers images_;
  std::vector<MountSource> sources_;
  UniqueFd old_root_;  // "/" as it was
  UniqueFd scratch_;
};

}  // namespace

Result<ContainerTree> BuildAndEnterTree(const Birth& birth, const LaunchSpec& spec,
                                        const std::vector<UniqueFd>& fds, Brought brought, Report& report) {
  TreeBuilder builder(birth, spec, fds, std::move(brought.ext_writer), report);
  return builder.Build(std::move(brought.fresh_proc));
}

}  // namespace slipway
