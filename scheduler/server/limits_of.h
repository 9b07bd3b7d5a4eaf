// SPDX-License-Identifier: Apache-2.0
// Limits from the wire into the core's.
#pragma once

#include "scheduler/core/limits.h"
#include "slipway/v1/account.pb.h"

namespace slipway::scheduler {

// What is there is set, a negative number takes a limit away; the rest stays.
void MergeTres(const v1::Tres& from, Tres& to);
void MergeLimits(const v1::Limits& from, Limits& to);

}  // namespace slipway::scheduler
