// SPDX-License-Identifier: Apache-2.0
// Whoever waits for an answer that a FUSE server has begun and does not end waits beyond SIGKILL, and a
// server that waits for its own mount so keeps the connection open that would have to close. The kernel's way
// out is to abort the connection (fusectl).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <set>
#include <string_view>
#include <vector>

namespace slipway {

// Pure: the connections (minor numbers of their devices) of the FUSE mounts in a mountinfo text.
std::set<std::uint32_t> FuseConnectionsIn(std::string_view mountinfo);

// Aborts what the mount tables of these processes show and whoever mounted it is `uid`; never what process 1
// has mounted, too: a site's file system serves others. How many were aborted; 0 also where fusectl cannot be
// had. Does not wait for any file system.
std::size_t AbortFuseOf(const std::vector<pid_t>& processes, uid_t uid);

}  // namespace slipway
