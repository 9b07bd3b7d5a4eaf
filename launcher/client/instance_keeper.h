// SPDX-License-Identifier: Apache-2.0
// An instance needs somebody who holds its init's socket when the command that started it has returned. That
// is its keeper: a process in a session of its own, undumpable, that waits in the instance's folder for those
// who want a process inside (task_protocol.h) or its end, and goes when the container does.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/os/fd.h"
#include "launcher/client/instance_folder.h"
#include "launcher/client/way.h"
#include "launcher/spec/init_protocol.h"
#include "launcher/spec/launch_spec.h"
#include "launcher/spec/limits.h"

namespace slipway {

struct InstancePlan {
  InstanceClaim claim;
  WayRequest way;
  LaunchSpec spec;                 // its tasks are not run: the container stands by itself
  std::vector<int> fds;            // borrowed; as many as spec.fd_count
  InstanceState state;             // all but the process ids, which the keeper fills in
  std::vector<std::string> first;  // what runs in it from the beginning
  ContainerLimits limits;          // the keeper and its container are then in a scope of their own
  bool first_optional = false;     // an image without it is as well
};

struct InstanceReady {
  InitReady init;
  std::uint8_t way = 0;                  // Way
  std::vector<std::string> passed_over;  // as Entered has them
};
void Fields(auto& archive, IsA<InstanceReady> auto& v) { archive(v.init, v.way, v.passed_over); }

// Forks the keeper and returns once the container stands. An error carries what the container's init said and
// nothing is left then; `exit_code` is the one to end with. `say`: warnings, one line each.
Result<InstanceReady> StartInstance(InstancePlan plan, const std::function<void(const std::string&)>& say,
                                    int& exit_code);

}  // namespace slipway
