// SPDX-License-Identifier: Apache-2.0
// Puts a process, and so the container that it is going to make, into a cgroup of its own with limits.
#pragma once

#include <sys/types.h>

#include <string>

#include "launcher/spec/limits.h"

namespace slipway {

// By slipway-scope, which asks systemd. The cgroup, below the cgroup2 mount; empty when no limit is set. One
// clear line when there is no systemd or it has no right to the controllers: a limit is held or nothing runs.
Result<std::string> EnterScope(const ContainerLimits& limits, pid_t pid);
// Into one without limits below which the caller's kind may make cgroups of their own.
Result<std::string> EnterDelegatedScope(pid_t pid);

}  // namespace slipway
