// SPDX-License-Identifier: Apache-2.0
// What a container may ask of the kernel, as Apptainer's options say it. Capabilities are those inside the
// container's own user namespace: none of them reaches the host.
#pragma once

#include <string>
#include <vector>

#include "cli/options/options.h"
#include "launcher/spec/confinement.h"

namespace slipway::cli {

std::vector<Option> SecurityOptionList();

struct Security {
  Confinement confinement;
  std::string seccomp_file;  // not empty: the filter is kGiven, and to be read from there
};
// Of arguments that were parsed with that list. `by_default`: the capabilities kept when no option speaks of
// them.
Result<Security> SecurityOf(const Parsed& parsed, CapabilitySet by_default);

}  // namespace slipway::cli
