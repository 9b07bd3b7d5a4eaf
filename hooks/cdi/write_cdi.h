// SPDX-License-Identifier: Apache-2.0
// A CDI file for this and other runtimes, from the same values that ParseCdi gives.
#pragma once

#include <string>

#include "hooks/cdi/cdi_spec.h"

namespace slipway {

// As JSON. Library folders become the variable LD_LIBRARY_PATH, which ParseCdi turns back into folders; for
// other runtimes it is the container's whole LD_LIBRARY_PATH. Pure.
std::string CdiJson(const CdiSpec& spec);

}  // namespace slipway
