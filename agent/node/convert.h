// SPDX-License-Identifier: Apache-2.0
// Where protobuf ends: what the controller says becomes our own types here, checked, and the reverse.
#pragma once

#include <string>

#include "agent/node/facts.h"
#include "agent/steps/plan.h"
#include "agent/steps/step_machine.h"
#include "launcher/spec/step_protocol.h"
#include "slipway/v1/node.pb.h"

namespace slipway {

StepId FromProto(const v1::StepKey& key);
v1::StepKey ToProto(const StepId& step);
v1::StepReport ToProto(const StepNews& news);

// The site's programs around each rank (agent/stepd/task_programs.h), as the ranks' container sees them:
// read-only files. Empty: none.
void AddTaskPrograms(const std::string& prolog, const std::string& epilog, StepSpec& spec);

// What of this node's own a step's spec needs.
struct NodeSide {
  std::string client_dir;  // empty: none
  std::string image_dir;   // rootless only
  std::uint32_t agent_uid = 0;
  bool private_shm = false;
  std::uint32_t folder_timeout_s = 30;
  std::uint64_t private_tmp_bytes = 0;
};
// kInvalidArgument: one line that names what is wrong with the launch (a bind, sizes that do not agree, …).
Result<LaunchPlan> PlanOf(const v1::LaunchStep& launch, const NodeSide& node);

StepStdin StdinOf(const v1::StepInput& input);
v1::Node ToProto(const NodeFacts& facts);

}  // namespace slipway
