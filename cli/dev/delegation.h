// SPDX-License-Identifier: Apache-2.0
// Where systemd runs a machine the cgroups are its: a cluster of root's that made its own at their top would
// write where systemd alone does, and a user's may make none at all. So the supervisor asks systemd over
// sd-bus (slipway-scope) for a scope that is delegated to it, root's or its user's own. The brokers find
// themselves in that and make the cgroups of their steps there; it goes with the cluster's last process.
#pragma once

#include "base/result/result.h"

namespace slipway::dev {

// Puts this process and what it starts later into SCOPE/daemons, so that SCOPE may hand its controllers to
// what is made beside. After an error brokers still look for a place beside their own cgroup, and say what
// they cannot hold.
Result<> EnterDelegation();

}  // namespace slipway::dev
