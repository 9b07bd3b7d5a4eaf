// SPDX-License-Identifier: Apache-2.0
// Where cgroup v2 is: a hybrid host mounts it elsewhere than at /sys/fs/cgroup, so it is found by its mount.
#pragma once

#include <string>
#include <vector>

#include "base/os/fd.h"
#include "base/result/result.h"

namespace slipway {

// Where the whole of cgroup v2 is mounted.
Result<std::string> CgroupMount();
// Our own, below it, beginning with a slash.
Result<std::string> OwnCgroup();

// Hands those of `wanted` that this cgroup has to those below it. All at once, or one by one where that
// fails: none must take the others with it.
void EnableControllers(const std::string& path, const std::vector<std::string>& wanted);

// Directories alone prove nothing: a user may make them and yet not be allowed to move a process there.
Result<> ProveBirth(const std::string& path);

// Of a cgroup's absolute path. An empty one is nobody's: killed, and not populated.
Result<> KillCgroup(const std::string& path);
Result<> FreezeCgroup(const std::string& path, bool frozen);  // with all below it; returns before they stand
bool IsPopulated(const std::string& path);
Result<UniqueFd> OpenCgroupEvents(const std::string& path);  // EPOLLPRI when `populated` or `frozen` changes

}  // namespace slipway
