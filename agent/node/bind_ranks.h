// SPDX-License-Identifier: Apache-2.0
// Which processors each rank gets, from what its step was asked for and what the node is: written into the
// step's spec, from where stepd takes it to the ranks and back into its reports.
#pragma once

#include "agent/binding/topology.h"
#include "launcher/spec/step_spec.h"

namespace slipway {

// A batch script is not bound: it is the job's one shell, and its steps are bound by themselves. Nor is
// anything on a node that only counts its cores (no processors in `topology`).
Result<> BindRanks(const Topology& topology, StepSpec& spec);

}  // namespace slipway
