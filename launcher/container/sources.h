// SPDX-License-Identifier: Apache-2.0
// What is bound into the container is taken from the host's tree before we put anything of ours over it, so
// that a source can never be our own scratch, and a missing one is known before mount points are made for it.
#pragma once

#include <string>
#include <vector>

#include "base/os/fd.h"
#include "launcher/container/birth.h"
#include "launcher/container/squashfuse.h"
#include "launcher/spec/launch_spec.h"

namespace slipway {

struct MountSource {
  const Mount* mount = nullptr;  // of the spec
  UniqueFd tree;  // a detached mount, ready to be attached; none for kDev, made in place, and for kImage,
                  // whose tree is a part of `image`, once that is attached somewhere
  bool directory = true;
  FuseImage image;
  // Not empty: the folder in it, relative, where the broker keeps the images of all steps; to be covered as
  // soon as the tree is attached.
  std::string covered;
};

// In the spec's order, without the optional ones that are not there; all others are opened before any image
// is served. `fds`: the spec's. `fresh_proc` is used for kProc when given. In the brokered way a source among
// the images of the node is refused.
Result<std::vector<MountSource>> OpenMountSources(const LaunchSpec& spec, const std::vector<UniqueFd>& fds,
                                                  const Birth& birth, UniqueFd fresh_proc);

// In the brokered way: a descriptor among the images of the node is refused, whatever its path was.
Result<> RefuseNodesImages(int fd, const std::string& source, const Birth& birth);

// The file system in the file that `image` names.
Result<FuseImage> ServeImage(const ImageSource& image, const std::vector<UniqueFd>& fds, const Birth& birth,
                             ImageOwner owner);

}  // namespace slipway
