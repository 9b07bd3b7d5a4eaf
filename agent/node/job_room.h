// SPDX-License-Identifier: Apache-2.0
// How much of a /tmp and a /dev/shm of its own a job gets on this node: what the site gives each, or what the
// job asked for. The broker makes them; where it cannot (rootless), each step has its own instead.
//
// Pure; any thread.
#pragma once

#include <cstdint>

#include "agent/steps/plan.h"

namespace slipway {

struct JobRoomSettings {
  std::uint64_t tmp_bytes = 0;      // of a job that does not ask; 0: none of its own
  std::uint64_t tmp_bytes_max = 0;  // 0: half of the node's memory
  std::uint64_t shm_bytes = 0;      // 0: none of its own
};

// Fills in plan.room and what the step's container shows of it. kInvalidArgument: the job asked for more than
// this node gives, or its wish is no number.
Result<> GiveRoom(const JobRoomSettings& site, std::uint64_t node_memory_bytes, const BrokerWelcome& broker,
                  LaunchPlan& plan);

}  // namespace slipway
