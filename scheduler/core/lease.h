// SPDX-License-Identifier: Apache-2.0
// A node that nobody hears may be dead or only cut off: its jobs are not started again, since they may still
// run there and write. Who asks for a lease (--lease=T) wants it otherwise: a node on which T has passed
// since it sent the last heartbeat that was answered ends the job, by a clock that a suspended machine does
// not stop; and the controller, which answered that heartbeat later than it was sent, waits for T and for the
// end of the processes before it gives the job's nodes up. No message is needed for either.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "scheduler/core/state.h"

namespace slipway::scheduler {

// What a node takes to kill a step that stepd or its user hold on to, until it would call it stuck.
inline constexpr std::int64_t kLeaseEnd_s = 20;
inline constexpr std::uint32_t kLeaseMin_s = 30, kLeaseMax_s = 30 * 24 * 3600;

// How long a node has to be silent until nothing of the job can run there: lease, end, and a hundredth of
// both for clocks that do not run alike.
constexpr std::int64_t LeaseWait(std::uint32_t lease_s, std::int64_t end_s = kLeaseEnd_s) {
  std::int64_t both = std::int64_t{lease_s} + end_s;
  return both + both / 100 + 1;
}

// Of the jobs that hold something of the node; nullopt: none has a lease, or the node is not silent.
std::optional<std::int64_t> ShortestLeaseWait(const State& state, std::string_view node,
                                              std::int64_t end_s = kLeaseEnd_s);

// kInvalidArgument: a lease that is too short to be renewed in time, or longer than anybody waits. 0 is none.
Result<> CheckLease(std::uint32_t lease_s);

}  // namespace slipway::scheduler
