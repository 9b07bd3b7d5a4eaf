// SPDX-License-Identifier: Apache-2.0
// Which devices the processes of a cgroup may open: cgroup v2 has no file for that, it asks a BPF program.
// This is the one place that writes and attaches such a program.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/os/fd.h"
#include "base/result/result.h"

namespace slipway {

struct DeviceRule {
  static constexpr std::uint32_t kAnyMinor = ~0U;
  char type = 'c';  // 'c' or 'b'
  std::uint32_t major = 0, minor = kAnyMinor;
  auto operator<=>(const DeviceRule&) const = default;
};
inline constexpr std::size_t kDeviceRulesMax = 512;

// What every container has: null zero full random urandom tty console ptmx pts fuse.
std::vector<DeviceRule> UsualDevices();
// Of a device node, through links; kInvalidArgument when `path` is something else.
Result<DeviceRule> DeviceAt(const std::string& path);

// One owner, one thread. The kernel takes its time to check a program (0.3 ms), and one serves any number of
// cgroups, so those of late are kept.
class DevicePolicies {
 public:
  // From now on processes in the cgroup `directory_fd` and below it may open these for reading and writing,
  // and no other device; what is open stays so. Programs of cgroups above it hold as well; this one goes with
  // the cgroup. Needs CAP_BPF and CAP_NET_ADMIN. kInvalidArgument: more than kDeviceRulesMax, or an unknown
  // type.
  Result<> Attach(int directory_fd, const std::vector<DeviceRule>& allowed);

  static constexpr std::size_t kKeptMax = 64;
  std::size_t kept() const { return loaded_.size(); }

 private:
  std::map<std::vector<DeviceRule>, UniqueFd> loaded_;
};

}  // namespace slipway
