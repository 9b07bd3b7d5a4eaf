// SPDX-License-Identifier: Apache-2.0
// What files of the node add to a container: GPUs, devices by CDI, the admin's OCI hooks, the user's seccomp
// profile. slipway-edits reads them; when none is wanted it is not started.
#pragma once

#include <functional>
#include <string>

#include "cli/options/options.h"
#include "launcher/client/image_file.h"
#include "launcher/spec/launch_spec.h"

namespace slipway::cli {

std::vector<Option> EditsOptionList();

// What the arguments, parsed with both lists, and the node's files say of confinement, devices and hooks goes
// into `spec`, whose argv and mounts are set. `say` gets warnings, one line each.
Result<> AddEdits(const Parsed& parsed, const ImageFile& image, LaunchSpec& spec,
                  const std::function<void(const std::string&)>& say);

}  // namespace slipway::cli
