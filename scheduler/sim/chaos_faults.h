// SPDX-License-Identifier: Apache-2.0
// Which faults a simulated life has.
#pragma once

#include <cstdint>

#include "scheduler/sim/rng.h"

namespace slipway::scheduler {

// A different mix for each seed finds more than all of them always.
struct Faults {
  std::uint32_t drop = 0, twice = 0;  // per mille of messages
  std::uint32_t delay_ms_max = 50, commit_ms_max = 20;
  // Mean time between; 0: never.
  std::uint32_t kill_s = 0, full_disk_s = 0, stream_s = 0, agent_s = 0, reboot_s = 0, partition_s = 0,
                clock_s = 0;

  explicit Faults(Rng& rng) {
    if (rng.Chance(600)) drop = rng.Between(1, 200);
    if (rng.Chance(600)) twice = rng.Between(1, 200);
    if (rng.Chance(600)) delay_ms_max = rng.Between(50, 8000);
    if (rng.Chance(500)) commit_ms_max = rng.Between(20, 3000);
    if (rng.Chance(700)) kill_s = rng.Between(5, 60);
    if (rng.Chance(300)) full_disk_s = rng.Between(20, 120);
    if (rng.Chance(500)) stream_s = rng.Between(5, 60);
    if (rng.Chance(500)) agent_s = rng.Between(10, 90);
    if (rng.Chance(600)) reboot_s = rng.Between(20, 120);
    if (rng.Chance(400)) partition_s = rng.Between(20, 90);
    if (rng.Chance(300)) clock_s = rng.Between(20, 90);
  }
};

}  // namespace slipway::scheduler
