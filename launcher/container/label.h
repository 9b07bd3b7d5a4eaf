// SPDX-License-Identifier: Apache-2.0
// A label of the host's security module (AppArmor profile, SELinux context) is taken on at the next exec by
// writing it to a file of /proc. A /proc that is a symlink, a bind or somebody's folder would swallow it and
// nobody would know (CVE-2025-65105): so the write goes to a file proved to be procfs's own, is read back,
// and what cannot be applied is an error.
#pragma once

#include "base/os/fd.h"
#include "launcher/spec/confinement.h"

namespace slipway {

inline bool WantsLabel(const Confinement& confinement) {
  return !confinement.apparmor_profile.empty() || !confinement.selinux_label.empty();
}

// For this process and what it forks from now on, at their next exec. `proc_fd`: the root of a procfs in
// which this process is visible. kFailedPrecondition says why the host cannot.
Result<> TakeLabelAtExec(int proc_fd, const Confinement& confinement);

}  // namespace slipway
