// SPDX-License-Identifier: Apache-2.0
// The hooks whose place is in the container's making. Those of before the pivot see the host's tree and the
// container's root beside it; those of startContainer are the image's own programs, already confined.
#pragma once

#include "launcher/container/birth.h"
#include "launcher/container/report.h"
#include "launcher/spec/launch_spec.h"

namespace slipway {

// Where the host's tree shows our scratch to such hooks: the root in "rootfs", the bundle in "bundle".
inline constexpr const char* kHookPlace = "/mnt";

// Any but startContainer: those that run outside are announced there, too.
bool HasHooksBeforePivot(const LaunchSpec& spec);

// The container's, the same in every stage. To be asked while /proc is the host's.
std::string HookId();

// The mounts are made and lie at kHookPlace, where `scratch_fd` is attached; the pivot comes next. Hooks of
// createContainer have the capabilities of a user namespace of the user's own, none in one that root made,
// and see no image of another step.
Result<> RunHooksBeforePivot(const Birth& birth, const LaunchSpec& spec, int scratch_fd, Report& report);

// Inside, after the confinement.
Result<> RunStartHooks(const LaunchSpec& spec, const std::string& id);

}  // namespace slipway
