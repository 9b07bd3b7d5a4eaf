// SPDX-License-Identifier: Apache-2.0
// Where cgroup v2 is: a hybrid host mounts it elsewhere than at /sys/fs/cgroup, so it is found by its mount.
#pragma once

#include <string>

#include "base/result/result.h"

namespace slipway {

// Where the whole of cgroup v2 is mounted.
Result<std::string> CgroupMount();
// Our own, below it, beginning with a slash.
Result<std::string> OwnCgroup();

}  // namespace slipway
