// SPDX-License-Identifier: Apache-2.0
// From what the user asked for (StepSpec) to what the container's init is told (LaunchSpec): the mounts that
// a user of Apptainer expects, the batch script as a file, and each rank's place, processors and environment.
// Pure, except that a rootless image file is opened.
#pragma once

#include <string>
#include <vector>

#include "launcher/spec/launch_spec.h"
#include "launcher/spec/step_spec.h"

namespace slipway {

// One line when the script cannot be run as it is: no #! line, Windows line ends.
Result<> CheckScript(std::string_view script);

// Everything but standard streams, image and the ranks' MPI environment.
Result<LaunchSpec> PlanLaunch(const StepSpec& spec);

}  // namespace slipway
