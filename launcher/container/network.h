// SPDX-License-Identifier: Apache-2.0
// --network none: nothing but a loopback device, which a new network namespace has but does not bring up.
#pragma once

#include "base/result/result.h"

namespace slipway {

// This process, and what it starts, from here on. Needs CAP_SYS_ADMIN in its user namespace.
Result<> EnterLonelyNetwork();

}  // namespace slipway
