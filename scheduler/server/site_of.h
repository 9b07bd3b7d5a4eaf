// SPDX-License-Identifier: Apache-2.0
// The site's settings as the core knows them (scheduler/core/site.h).
#pragma once

#include "base/config/config.h"
#include "scheduler/core/site.h"

namespace slipway::scheduler {

// Looks up the groups that partitions name on this host. kInvalidArgument with the place in the file. Without
// any partition there is one, "main", of all nodes.
Result<Site> SiteOf(const Config& config);

}  // namespace slipway::scheduler
