// SPDX-License-Identifier: Apache-2.0
#include "hooks/gpu/health.h"

#include <cstdlib>
#include <set>

#include "hooks/gpu/discover.h"

namespace slipway {
namespace {

// "ue: 0\nce: 12\n", of the memory controllers (amdgpu's RAS).
std::uint64_t UncorrectableErrors(const HostTree& host, const std::string& pci) {
  std::string text = host.Text(Cat("/sys/bus/pci/devices/", pci, "/ras/umc_err_count")).value_or("");
  auto at = text.find("ue:");
  return at == std::string::npos ? 0 : std::strtoull(text.c_str() + at + 3, nullptr, 10);
}

}  // namespace

std::vector<std::string> GpuFindings(const HostTree& host, const std::vector<GpuUnit>& units) {
  std::vector<std::string> findings;
  std::set<std::string> seen;
  for (const GpuUnit& unit : units) {
    if (unit.pci.empty() || !seen.insert(unit.pci).second) continue;
    if (IsOffTheBus(host, unit.pci)) {
      findings.push_back(Cat("GPU ", unit.pci, " has fallen off the bus: it needs a reset or a reboot"));
    } else if (std::uint64_t errors = UncorrectableErrors(host, unit.pci); errors != 0) {
      findings.push_back(Cat("GPU ", unit.pci, " has uncorrectable memory errors: ", errors));
    }
  }
  return findings;
}

}  // namespace slipway
