// SPDX-License-Identifier: Apache-2.0
// When the controller last answered must outlive the agent: a lease that began anew with each agent would let
// a job run on for longer than the controller waits before it starts it elsewhere.
//
// One small file in the agent's folder, not synced: a boot later it counts no more.
#pragma once

#include <cstdint>
#include <string>

namespace slipway {

// Milliseconds on CLOCK_BOOTTIME; 0: not known of this boot.
std::uint64_t ReadLastHeard(const std::string& state_dir, const std::string& boot_id);
// What cannot be written is logged: the next agent then knows an earlier time, and ends jobs sooner.
void WriteLastHeard(const std::string& state_dir, const std::string& boot_id, std::uint64_t boot_ms);

}  // namespace slipway
