// SPDX-License-Identifier: Apache-2.0
// The energy that a node's processors and memory have used, by RAPL as Linux shows it (Intel and AMD,
// /sys/class/powercap). Each counter is of one package or of its memory, and begins anew at a range of its
// own: whoever wants a sum reads more often than that (minutes at full load).
//
// Any one thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "hooks/host/host_tree.h"

namespace slipway {

class NodeEnergy {
 public:
  // Finds the counters: packages, and memory where it is counted apart. Cores, graphics and the like are
  // parts of a package, "psys" is a client's whole board: neither counts.
  explicit NodeEnergy(HostTree host);

  // Why nothing is counted, in one sentence with its cure; empty: it is.
  const std::string& why_not() const { return why_not_; }

  // Microjoules that went by since the first call, all counters together; nothing when one cannot be read.
  // A counter that began anew between two calls has done so once.
  std::optional<std::uint64_t> Total();

 private:
  struct Counter {
    std::string file;
    std::uint64_t range = 0;  // where it begins anew
    std::optional<std::uint64_t> last;
  };
  HostTree host_;
  std::vector<Counter> counters_;
  std::uint64_t total_ = 0;
  std::string why_not_;
};

// Microseconds in which this node's processors did something, all together (/proc/stat); nothing when it
// cannot be read. Ticks of `ticks_per_s`.
std::optional<std::uint64_t> NodeBusy(const HostTree& host, std::uint64_t ticks_per_s);

}  // namespace slipway
