// SPDX-License-Identifier: Apache-2.0
// Inside its user namespace the child holds every capability until the container stands; a task has those
// that were asked for and allowed, by default none.
#pragma once

#include "base/result/result.h"
#include "launcher/spec/confinement.h"

namespace slipway {

// What `wanted` says, as far as the half that made the namespaces allows it. kPermissionDenied names the
// rest.
Result<CapabilitySet> CapabilitiesAllowed(const Confinement& wanted, const BirthRules& rules);

// Leaves this process `keep` (of what it has) and no way to gain another by exec: bounding, permitted and
// effective sets are `keep`; inheritable and ambient are empty, but for a user that is not root inside, who
// would lose `keep` at the exec without them. Proved by capget before it returns.
Result<> KeepPrivilege(CapabilitySet keep);

// Nobody of the same uid may trace or read this process.
Result<> StayUndumpable();

}  // namespace slipway
