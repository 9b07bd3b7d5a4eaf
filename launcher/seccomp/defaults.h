// SPDX-License-Identifier: Apache-2.0
// The filters that every container gets unless its user says otherwise, and the one that he cannot take off.
// What is refused and why: docs/decisions/0012.
#pragma once

#include "launcher/seccomp/profile.h"

namespace slipway {

// Refuses what no HPC code needs and what reaches parts of the kernel that no namespace holds.
SeccompProfile DefaultSeccomp();

// On hosts that forbid their users user namespaces: none inside either, neither made nor entered.
SeccompProfile NestingForbidden();

}  // namespace slipway
