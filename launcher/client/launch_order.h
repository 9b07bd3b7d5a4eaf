// SPDX-License-Identifier: Apache-2.0
// What a container's init hears first: the LaunchSpec and the descriptors that it names. For those who send
// it in one go, before anybody answers; InitLink does the same in a loop.
#pragma once

#include <vector>

#include "base/result/result.h"
#include "launcher/spec/launch_spec.h"

namespace slipway {

// `fds`: borrowed, in the order of the spec's numbers. `idle`: as in LaunchRequest. No error when the other
// side has gone already: it has said why, and that is read first.
Result<> SendLaunch(int control, const LaunchSpec& spec, const std::vector<int>& fds, bool idle = false);

}  // namespace slipway
