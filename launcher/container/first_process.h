// SPDX-License-Identifier: Apache-2.0
// A container's init is the first process of a PID namespace where one can be had, so it has a parent outside
// that waits for it. Where an image is written to there is another process outside, which must be waited for
// as well, and none of them may hold the mounts that the init makes.
#pragma once

#include <optional>

#include "base/os/fd.h"
#include "launcher/container/birth.h"
#include "launcher/container/ext_writer.h"
#include "launcher/spec/launch_spec.h"

namespace slipway {

// What the init brings along to build the container's tree of.
struct Brought {
  UniqueFd fresh_proc;                  // a detached procfs of our PID namespace, or none
  std::optional<ExtWriter> ext_writer;  // where changes go to an ext3 image
};

struct FirstProcess {
  bool pid_namespace = false;  // whose PID 1 we are
  Brought brought;
};
// Returns in the process that is to be the container's init: the calling one or a child of it. The other then
// waits for the init, and for what it leaves to be written, and ends with its exit code. `fds`: the spec's.
Result<FirstProcess> BecomeFirstProcess(const Birth& birth, const LaunchSpec& spec,
                                        const std::vector<UniqueFd>& fds);

}  // namespace slipway
