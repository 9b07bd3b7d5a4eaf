// SPDX-License-Identifier: Apache-2.0
// On a machine that systemd runs, cgroups are its. Limits without a scheduler are had by asking it for a
// transient scope around a process, for an ordinary user his own systemd; and so is, where no unit of ours
// was installed, a delegated scope below which a broker makes the cgroups of steps. What runs in it later is
// in it too, and it goes when the last of them has gone.
//
// The interface is org.freedesktop.systemd1.Manager (org.freedesktop.systemd1(5)), the properties those of
// systemd.resource-control(5).
#pragma once

#include <sys/types.h>
#include <systemd/sd-bus.h>

#include <string>

#include "launcher/spec/limits.h"

namespace slipway {

struct ScopeRequest {
  std::string unit;  // "slipway-1234-….scope"
  pid_t pid = 0;     // moved into it
  ContainerLimits limits;
  bool delegated = false;  // with all controllers that systemd has to give, and no limit of its own
};

// The user's own manager, or the system's for root. kUnavailable says what is missing and what would do.
Result<sd_bus*> OpenManager();

// Returns once the process is in the scope: its cgroup, "/user.slice/…/slipway-….scope".
Result<std::string> StartScope(sd_bus* bus, const ScopeRequest& request);

// Whether the kernel holds them: a controller that was not delegated to the user's manager has no files in
// the scope's cgroup, and systemd says nothing of it. `folder` is the cgroup's. kFailedPrecondition names the
// controller and how it is delegated.
Result<> CheckLimitsHold(const std::string& folder, const ContainerLimits& limits);

// AllowedCPUs as systemd has it: a bit each, the first processor's the lowest of the first byte.
std::string CpuMask(const std::vector<std::uint32_t>& cpus);

}  // namespace slipway
