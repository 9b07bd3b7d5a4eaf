// SPDX-License-Identifier: Apache-2.0
// Users name capabilities, the kernel numbers them. Here they are always those *inside the container's own
// user namespace*: over what belongs to that namespace, never over the host.
//
// Pure; any thread. Source of the numbers: linux/capability.h, capabilities(7).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result/result.h"

namespace slipway {

using CapabilitySet = std::uint64_t;  // bit N: capability number N

inline constexpr CapabilitySet kAllCapabilities = ~CapabilitySet{0};

constexpr CapabilitySet CapabilityBit(unsigned number) { return CapabilitySet{1} << number; }

// "CAP_NET_RAW", "net_raw": the bit. kInvalidArgument names the word and the nearest name.
Result<CapabilitySet> CapabilityNamed(std::string_view name);

// "net_raw,CAP_SYS_PTRACE" or "all".
Result<CapabilitySet> CapabilitiesNamed(std::string_view list);

// "CAP_NET_RAW,CAP_SYS_PTRACE"; "all", "none".
std::string NamesOf(CapabilitySet set);

}  // namespace slipway
