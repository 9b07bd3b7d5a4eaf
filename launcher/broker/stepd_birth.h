// SPDX-License-Identifier: Apache-2.0
// slipway-stepd serves the step as the job's user, outside the container: the broker gives it that identity
// for good (and proves that root does not come back), the descriptors it needs, an empty environment, and
// lets it go.
#pragma once

#include <string>

#include "launcher/broker/half_born.h"
#include "launcher/broker/identity.h"

namespace slipway {

struct StepdPlan {
  std::string program;
  UserIds identity;
  std::uint32_t agent_uid = 0;
  bool rootless = false;  // we are the user already
  int cgroup_fd = -1;
  int host_mounts_fd = -1;  // the mount namespace outside of the holder's; -1: stay
  // All borrowed: the sealed StepSpec, the listening socket, the other end of the init's control socket, the
  // status file, the log.
  int spec_fd = -1, listen_fd = -1, control_fd = -1, status_fd = -1, log_fd = -1;
};

// Returns while the child still prepares itself (HearReady). Behind its gate until Tell('g'); then
// HearItClose() says how the exec went.
Result<HalfBorn> BearStepd(const StepdPlan& plan);

}  // namespace slipway
