// SPDX-License-Identifier: Apache-2.0
// NVIDIA's own CDI files bind libraries under their full names and leave the links and the loader's cache to
// hooks that run as root in a root file system that can be written. Neither is the case here, and neither is
// needed: what those hooks would make is known from their arguments and from the libraries.
//
// Source: nvidia-container-toolkit, cmd/nvidia-cdi-hook (create-symlinks, update-ldcache, …).
#pragma once

#include <string>
#include <vector>

#include "hooks/edits/edits.h"

namespace slipway {

// Replaces hooks of nvidia-cdi-hook and nvidia-ctk: a link becomes a bind of its target's file, a cached
// folder a library folder with a bind under each library's soname; those that only change what no container
// here may change (chmod, …) are dropped. Others stay as they are. Reads the bound files. A link whose target
// nobody binds is a line in `notes`.
Result<> DeclareKnownHooks(ContainerEdits& edits, std::vector<std::string>& notes);

}  // namespace slipway
