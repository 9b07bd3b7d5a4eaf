// SPDX-License-Identifier: Apache-2.0
// exec, run and shell take the same options, named as Apptainer names them where it has them; here they are
// declared, for help and completion, and read into what launcher/client understands.
#pragma once

#include <vector>

#include "cli/options/options.h"
#include "launcher/client/container_spec.h"
#include "launcher/client/way.h"

namespace slipway::cli {

std::vector<Option> ContainerOptionList();

// Of arguments that were parsed with that list.
ContainerOptions ContainerOptionsOf(const Parsed& parsed);

// Of --way; options that need a user namespace of the user's own leave the rootless one only.
Result<std::optional<Way>> WayOf(const Parsed& parsed);

}  // namespace slipway::cli
