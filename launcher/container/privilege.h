// SPDX-License-Identifier: Apache-2.0
// Inside its user namespace the child holds every capability until the container stands; no task may inherit
// one.
#pragma once

#include "base/result/result.h"

namespace slipway {

// Every capability from every set (bounding and ambient too) of this process, and no way to gain one by exec.
Result<> DropAllPrivilege();

// The same but for one (CAP_…) of our user namespace, which a program that we are about to execute keeps.
Result<> KeepOneCapability(int capability);

// For the root of a user namespace that is the user's own (--fakeroot): no way to gain more by exec, but what
// the namespace gives stays.
Result<> StayRootInside();

// Nobody of the same uid may trace or read this process.
Result<> StayUndumpable();

}  // namespace slipway
