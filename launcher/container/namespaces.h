// SPDX-License-Identifier: Apache-2.0
// Namespaces that a container has only when asked for: a host name of its own, and no network.
#pragma once

#include "base/result/result.h"
#include "launcher/spec/launch_spec.h"

namespace slipway {

// This process, and what it starts, from here on. Needs CAP_SYS_ADMIN in its user namespace.
Result<> EnterFurtherNamespaces(const LaunchSpec& spec);

}  // namespace slipway
