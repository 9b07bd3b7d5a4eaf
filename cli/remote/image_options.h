// SPDX-License-Identifier: Apache-2.0
// What several commands of `slipway image` take.
#pragma once

#include "cli/options/options.h"

namespace slipway::cli {

inline Option VisibilityOption() {
  return {.name = "visibility",
          .type = Option::kString,
          .value_name = "WHO",
          .help = "who sees a new name: public, group:NAME or private",
          .complete = "public|group:|private"};
}

}  // namespace slipway::cli
