// SPDX-License-Identifier: Apache-2.0
// The container is built and its tasks are run by one and the same unprivileged child, whoever made its
// namespaces: the broker, the setuid starter, or (rootless) the child itself. This is the door to that child.
#pragma once

#include <string>

#include "launcher/spec/birth.h"

namespace slipway {

// Who the user is in a namespace of his own.
enum class Identity {
  kSelf,
  kRoot,      // and the ids that /etc/subuid lends him
  kRootOnly,  // nobody else
};
struct OwnNamespace {
  Identity identity = Identity::kSelf;
  std::string user_name;  // as /etc/subuid may know him
};

// Called in a freshly cloned process that already is in its own user and mount (and, for the first step of a
// job, IPC) namespaces, with maps written and all ids those of the user, still not dumpable, with every
// signal at its default (which tasks inherit). Closes every descriptor but 0-2 and control_fd. Receives the
// LaunchSpec, builds the container, forks the tasks, reports, reaps, never returns. Single-threaded; never
// execs itself; stays undumpable.
[[noreturn]] void RunInit(const Birth& birth);

// The rootless way: makes user, mount and IPC namespaces itself as the calling user, writes the maps (with
// one line setgroups is denied), then RunInit.
[[noreturn]] void RunRootless(Birth birth, const OwnNamespace& wanted = {});

}  // namespace slipway
