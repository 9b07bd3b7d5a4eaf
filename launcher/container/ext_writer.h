// SPDX-License-Identifier: Apache-2.0
// The kernel's overlay takes no FUSE file system to write to, so a root whose changes go to a user's ext3
// image is two servers deep: fuse2fs serves the image and fuse-overlayfs the root over it. fuse2fs has blocks
// in its memory that are not in the file yet and must not be killed, as everything in a container is at its
// end. Both are therefore children of a process outside of it, the writer, and no mount of theirs is held by
// anything but the container: when that is gone, however it went, the kernel unmounts the root,
// fuse-overlayfs ends, nothing has the image's file system any more, and fuse2fs writes what it has and ends.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/os/fd.h"
#include "base/os/process.h"
#include "launcher/container/birth.h"
#include "launcher/container/fuse_server.h"
#include "launcher/spec/launch_spec.h"

namespace slipway {

class ExtWriter {
 public:
  // Forks the writer where an overlay of the spec is an ext image to write to; else there is none. To be
  // called outside of the container's PID and mount namespaces, in its user namespace, which must be the
  // user's own. `fds`: the spec's.
  static Result<std::optional<ExtWriter>> StartFor(const LaunchSpec& spec, const std::vector<UniqueFd>& fds,
                                                   const Birth& birth);

  // For the process outside, which forked it.
  // Ends when all has been written. Exit code 0, or 1 when a server was killed before that.
  Process& process() { return process_; }

  // For the container's init. Whoever does not go on drops this, and the servers end.
  // The image's file system, detached, with the folders "upper" and "work" in it. `warning`: a line for the
  // user, or empty. Blocks while the image is repaired.
  Result<UniqueFd> AwaitTree(std::string& warning);
  // The root, detached: the image's "upper" over `lowers` (borrowed, attached somewhere; the highest first).
  Result<UniqueFd> MakeRoot(const std::vector<int>& lowers);
  // With what the servers had to say, if anything.
  Error WithWords(Error error) const;

 private:
  Process process_;
  UniqueFd socket_;
  FuseServer image_, root_;  // only their words; they are not our children
};

}  // namespace slipway
