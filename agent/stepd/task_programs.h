// SPDX-License-Identifier: Apache-2.0
// Programs around each rank of a step (srun's --task-prolog and --task-epilog, and the site's): they run in
// the rank's container, as its user, with its environment, so they can do no more than the rank. A shell
// script of ours, in the place of the rank's program, runs them; an image without /bin/sh cannot have them.
//
// Pure; any thread.
#pragma once

#include "launcher/spec/launch_spec.h"
#include "launcher/spec/step_spec.h"

namespace slipway {

// In the step's environment, as Slurm has them. Paths as the container sees them.
inline constexpr const char *kTaskPrologVariable = "SLIPWAY_TASK_PROLOG",
                            *kTaskEpilogVariable = "SLIPWAY_TASK_EPILOG";
// The site's programs, bound by the agent; run before the user's prolog, after his epilog. And how long each
// of the four may take, in seconds.
inline constexpr const char *kSitePrologVariable = "SLIPWAY_SITE_TASK_PROLOG",
                            *kSiteEpilogVariable = "SLIPWAY_SITE_TASK_EPILOG",
                            *kTaskTimeoutVariable = "SLIPWAY_TASK_TIMEOUT";
inline constexpr char kTaskRunnerTarget[] = "/run/slipway/task";

// Where the step's environment names one, and the step is not the batch script: each rank of `launch` is run
// so. What a prolog prints changes the rank's environment: "export NAME=value", "unset NAME"; "print TEXT"
// goes to its output. One that fails or takes too long fails the rank with 125, which names it. An epilog's
// failure is a line on stderr; it does not run where the rank is ended by SIGKILL.
void WrapTasks(const StepSpec& spec, LaunchSpec& launch);

}  // namespace slipway
