// SPDX-License-Identifier: Apache-2.0
// What system calls are left to the tasks. The user's own filter may be anything, also one that would end our
// init, so ours goes into the init and his into each task, last before its exec.
#pragma once

#include <string_view>

#include "base/result/result.h"
#include "launcher/spec/confinement.h"

namespace slipway {

// For good, in the calling process, after no_new_privs: what BirthRules demand, and the default filter where
// that is wanted. Both are constants of the build.
Result<> InstallOwnFilters(Confinement::Filter wanted, const BirthRules& rules);

// The user's (Confinement::bpf). Only system calls that report by errno: for a forked child of the init.
Result<> InstallFilter(std::string_view bpf);

}  // namespace slipway
