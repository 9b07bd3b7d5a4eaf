// SPDX-License-Identifier: Apache-2.0
// What a node has to be told, computed from the state alone.
#pragma once

#include <string_view>
#include <vector>

#include "scheduler/core/messages.h"
#include "scheduler/core/state.h"

namespace slipway::scheduler {

// The message that starts part `node_index` of the step.
LaunchStep MakeLaunch(const State& state, const Job& job, const Step& step, std::uint32_t node_index,
                      Time now);

// What a step that was signalled is told on the nodes on which it runs.
SignalStep MakeSignal(const Job& job, const Step& step);

// The messages that a node has not confirmed yet, in an order that is safe to send: launches, kills, ends.
std::vector<NodeMessage> Outstanding(const State& state, std::string_view node, Time now);

}  // namespace slipway::scheduler
