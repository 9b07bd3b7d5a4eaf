// SPDX-License-Identifier: Apache-2.0
// Who asks the broker for a container that is no job's, and where he is: such a container is the broker's
// child but must be held by everything that holds its caller. Only what can be carried over is; a caller in
// other namespaces, under a filter, or in cgroups that cannot be followed is refused, because root would lead
// him out of them.
#pragma once

#include <sys/types.h>

#include <string>
#include <utility>
#include <vector>

#include "base/os/fd.h"
#include "base/os/process.h"
#include "base/os/process_limits.h"
#include "launcher/broker/identity.h"

namespace slipway {

struct Caller {
  UserIds identity;  // SO_PEERCRED, SO_PEERGROUPS
  Process process;   // a pid may be another's; a user's own at worst, which JudgeCaller compares
  UniqueFd cgroup;   // his, to be born in; none where there is no cgroup v2
};

// Where a caller has to be: in the namespaces and under the root of this node. Found out once; the broker
// itself has left the host's mount namespace, which `mounts_fd` is.
struct HostPlace {
  static Result<HostPlace> Find(int mounts_fd);
  std::vector<std::pair<dev_t, ino_t>> places;
  std::string own_cgroups = {};   // the broker's /proc/self/cgroup
  std::string cgroup_mount = {};  // of cgroup v2; "" until a caller is in one
};

// Of a connected socket.
Result<Caller> CallerOf(int socket_fd, HostPlace& host);
// Before anything of his runs: kPermissionDenied says what cannot be carried over. He is still there when it
// returns, so all that was read of his pid, here and by CallerOf, was his and not of one who has it now.
Result<ProcessLimits> JudgeCaller(const Caller& caller, const HostPlace& host);

// Pure, of the text of /proc/PID/cgroup: the cgroup v2 path ("" without that hierarchy). kPermissionDenied
// when he is outside of what we see, or in another cgroup v1 than we are (`ours`), which no child of ours can
// be born in.
Result<std::string> FollowableCgroup(const std::string& his, const std::string& ours);
// Pure, of /proc/PID/status: no seccomp filter, no no_new_privs (which sandboxes set), ids as the socket
// says.
Result<> JudgeStatus(const std::string& status, const UserIds& who);

}  // namespace slipway
