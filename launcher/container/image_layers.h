// SPDX-License-Identifier: Apache-2.0
// The container's root is rarely the image alone: overlays of the user, a memory file system for changes, and
// our own layer of mount points and files lie over it. Here they are opened, found a place, and put together.
#pragma once

#include <optional>
#include <utility>
#include <vector>

#include "base/os/fd.h"
#include "launcher/container/birth.h"
#include "launcher/container/ext_writer.h"
#include "launcher/container/report.h"
#include "launcher/container/squashfuse.h"
#include "launcher/spec/launch_spec.h"

namespace slipway {

class ImageLayers {
 public:
  // The references are borrowed; `fds` are those of the spec. `ext_writer` is there if the spec writes to an
  // ext image.
  ImageLayers(const Birth& birth, const LaunchSpec& spec, const std::vector<UniqueFd>& fds,
              std::optional<ExtWriter> ext_writer, Report& report)
      : birth_(birth), spec_(spec), fds_(fds), ext_writer_(std::move(ext_writer)), report_(report) {}

  // While the host's tree is still to be seen: folders are opened, servers of images started.
  Result<> Open();
  // Gives what is served a place in `scratch_fd`, a tmpfs of ours, and takes `layer` and `work` in there for
  // our own layer.
  Result<> AttachTo(int scratch_fd);
  // Image and overlays as the container will see them, to walk in. Lives as long as this does or until
  // MakeRoot.
  Result<int> View();
  // The root, detached. Our layer is in it if `layer_used` says so, unless (with a warning) no overlay can be
  // had: then layered() is false.
  Result<UniqueFd> MakeRoot(bool layer_used);

  bool layered() const { return layered_; }
  bool writable() const { return spec_.writable_tmpfs || spec_.writing.in_place || Upper() != nullptr; }
  // With what a server had to say, if one has.
  Error WithWords(Error error) const;
  std::vector<FuseServer> TakeServers();

 private:
  struct Source {
    UniqueFd root;  // of the image, or of what is laid over it
    FuseServer server;
    bool written = false;   // an ext image that is read, and was written to as an overlay
    bool detached = false;  // has no place yet
    UniqueFd upper, work;   // of a writable one
  };
  ImageOwner Owner() const;
  const Source* Upper() const;
  Result<Source> OpenSource(const ImageSource& image);
  Result<Source> OpenOverlay(const Overlay& overlay);
  Result<> AttachSource(int scratch_fd, const std::string& name, Source& source);
  std::vector<int> Lowers() const;
  Result<> TakeUpper(const Overlay& overlay, Source& source);
  Result<> PlaceOverlay(int scratch_fd, std::size_t index);
  Result<> Merge(int scratch_fd);
  Result<UniqueFd> MakeExtOverlay(bool layer_used);
  Result<UniqueFd> MakeOverlay(bool layer_used);
  Result<UniqueFd> CloneImage(bool read_only);
  void WarnOfOthersFiles();

  const Birth& birth_;
  const LaunchSpec& spec_;
  const std::vector<UniqueFd>& fds_;
  std::optional<ExtWriter> ext_writer_;
  Report& report_;
  Source image_;
  std::vector<Source> overlays_;  // as in the spec
  Source merged_;                 // of all that is only read, where the kernel cannot; or nothing
  UniqueFd layer_, work_, view_;
  bool layered_ = false;
};

}  // namespace slipway
