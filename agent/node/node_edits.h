// SPDX-License-Identifier: Apache-2.0
// What this node adds to a step: its GPUs and fabrics, and by its own files the devices that its job asked
// for (CDI), the admin's hooks for every container (OCI hooks.d). Read when the step comes, by the agent,
// which has no privilege; what they say is run with the job's user's rights only.
#pragma once

#include <string>
#include <vector>

#include "agent/node/node_gpus.h"
#include "agent/steps/plan.h"
#include "slipway/v1/node.pb.h"

namespace slipway {

struct EditFolders {
  std::vector<std::string> cdi, hooks;
  static EditFolders OfTheHost();
};

// Those that the patterns (glob(7)) lead to; what is no device is left out.
std::vector<DeviceRule> DevicesAt(const std::vector<std::string>& patterns);

// Adds them to the plan, and their devices to those that it may open; lines for the log of what had to be
// left out. Errors name the device, the file or the hook. A step has nobody outside its container to run
// hooks in between: stages that run there (prestart, createRuntime, poststart, poststop) are an error when a
// device that was asked for wants them, and left out when an admin's file does.
Result<std::vector<std::string>> AddNodeEdits(const v1::LaunchStep& launch, const EditFolders& folders,
                                              NodeDevices& devices, LaunchPlan& plan);

}  // namespace slipway
