// SPDX-License-Identifier: Apache-2.0
#include "api/lock_checks.h"

#include <absl/synchronization/mutex.h>

namespace slipway {

void SwitchOffLockChecks() { absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore); }

}  // namespace slipway
