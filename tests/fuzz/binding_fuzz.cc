// SPDX-License-Identifier: Apache-2.0
// How ranks are bound is typed by people, and travels in an environment that they may change on the way.
#include <cstdint>
#include <string_view>

#include "agent/binding/bind_plan.h"
#include "launcher/spec/resource_limits.h"
#include "launcher/spec/terminal.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace slipway;
  static const Topology machine = FindTopology("package:2 numa:2 core:2 pu:2").value();
  std::string text(reinterpret_cast<const char*>(data), size);
  for (char& c : text) c = c == 0 ? ' ' : c;
  std::string bind = text.substr(0, text.find('\n'));
  std::string rest = bind.size() < text.size() ? text.substr(bind.size() + 1) : "";
  (void)ResourceLimitsOf({Cat(kResourceLimitsVariable, "=", bind)});
  if (auto size = TerminalOf({Cat(kTerminalVariable, "=", bind)}); size && *size)
    CHECK(TerminalOf({Cat(kTerminalVariable, "=", TerminalText(**size))}).has_value());
  auto request = BindRequestOf({Cat(kCpuBindVariable, "=", bind), Cat(kDistributionVariable, "=", rest)});
  if (!request) return 0;
  auto plan = PlanBinding(machine, {}, 3, 2, *request);
  if (!plan) return 0;
  CHECK(plan->cpus.empty() || plan->cpus.size() == 3);
  for (const auto& cpus : plan->cpus) CHECK(!cpus.empty() && cpus.back() < 16);
  CHECK(DescribeBinding(*plan).size() < 2000);
  CHECK(DealRanks({2, 0, 3}, request->distribution).size() == 3);
  return 0;
}
