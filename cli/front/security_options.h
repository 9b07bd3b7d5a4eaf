// SPDX-License-Identifier: Apache-2.0
// What a container may ask of the kernel, as Apptainer's options say it. Capabilities are those inside the
// container's own user namespace: none of them reaches the host.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "cli/options/options.h"
#include "launcher/spec/confinement.h"

namespace slipway::cli {

std::vector<Option> SecurityOptionList();

// Of arguments that were parsed with that list. `by_default`: the capabilities kept when no option speaks of
// them. A seccomp file is read and compiled here, and only here; `say` gets warnings, one line each.
Result<Confinement> ConfinementOf(const Parsed& parsed, CapabilitySet by_default,
                                  const std::function<void(const std::string&)>& say);

}  // namespace slipway::cli
