// SPDX-License-Identifier: Apache-2.0
// The setuid way: started with euid 0 by anybody, with his arguments, environment, limits and descriptors,
// none of which is believed. It does what a user namespace cannot do alone (mount an image of the root-owned
// store, make a user namespace that its user can neither enter nor trace, map his groups), drops for good and
// proves it, and only then lets anything of the user's or the image's be read. Nothing that it makes outlives
// it: mounts are in a private namespace, the loop device frees itself.
#pragma once

#include <string>

#include "base/result/result.h"
#include "launcher/broker/identity.h"

namespace slipway {

// Whether the kernel gave this process its owner's rights; false also on a nosuid mount or with no_new_privs.
bool IsSetuidRoot();
// Before anything else, in every way: undumpable, descriptors 0-2 open, no environment, our umask, no
// signals.
void DistrustCaller();
// The caller, by the kernel's word. From here on he cannot signal us: a starter that he stopped half-way
// would hold what it has open.
Result<UserIds> CallerForPrivileged();

// Neither returns. Errors go to the control socket as kRefused (nothing was started), or to stderr.
[[noreturn]] void ExecAsSetuid(int control_fd, const std::string& digest, bool changes_image);
[[noreturn]] void ImportAsSetuid(int image_fd, bool as_is);

}  // namespace slipway
