// SPDX-License-Identifier: Apache-2.0
#include "cli/front/limit_options.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "base/text/units.h"

namespace slipway::cli {
namespace {

Result<std::optional<std::uint64_t>> Bytes(const Parsed& parsed, const char* name) {
  if (!parsed.Has(name)) return std::optional<std::uint64_t>();
  auto bytes = ParseBytes(parsed.Value(name));
  if (!bytes || *bytes == 0)
    return Fail(Code::kInvalidArgument, "--", name, " '", parsed.Value(name).substr(0, 32),
                "' is no size; 512M and 2G are");
  return *bytes;
}

Result<std::optional<std::uint64_t>> Count(const Parsed& parsed, const char* name, std::uint64_t low,
                                           std::uint64_t high) {
  if (!parsed.Has(name)) return std::optional<std::uint64_t>();
  auto count = ParseNumber(parsed.Value(name), low, high);
  if (!count)
    return Fail(Code::kInvalidArgument, "--", name, " '", parsed.Value(name).substr(0, 32),
                "' is not a number from ", low, " to ", high);
  return *count;
}

// "1.5" processors in microseconds a second.
Result<std::optional<std::uint64_t>> Cpus(const Parsed& parsed) {
  if (!parsed.Has("cpus")) return std::optional<std::uint64_t>();
  std::string text = parsed.Value("cpus");
  char* end = nullptr;
  double cpus = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != 0 || !std::isfinite(cpus) || cpus < 0.01 || cpus > kLimitCpusMax)
    return Fail(Code::kInvalidArgument, "--cpus '", text.substr(0, 32), "' is not a number from 0.01 to ",
                kLimitCpusMax);
  return static_cast<std::uint64_t>(cpus * 1e6 + 0.5);
}

// --memory-swap is memory and swap together, as it has been since Docker; -1 is no limit.
Result<std::optional<std::uint64_t>> Swap(const Parsed& parsed, std::optional<std::uint64_t> memory) {
  if (parsed.Value("memory-swap", "-1") == "-1") return std::optional<std::uint64_t>();
  auto both = TRY(Bytes(parsed, "memory-swap"));
  if (!memory || *both < *memory)
    return Fail(Code::kInvalidArgument,
                "--memory-swap is memory and swap together: it takes --memory and is not less");
  return *both - *memory;
}

}  // namespace

std::vector<Option> LimitOptionList() {
  auto option = [](const char* name, const char* value, const char* help) {
    return Option{.name = name, .type = Option::kString, .value_name = value, .help = help};
  };
  return {
      option("cpus", "N", "no more processor time than N processors have; 1.5 is one and a half"),
      option("cpuset-cpus", "LIST", "only these processors: 0-3,8"),
      option("cpu-shares", "N", "weight against others, 2 to 262144; 1024 is usual"),
      option("memory", "SIZE", "no more memory than that: 512M, 2G"),
      option("memory-swap", "SIZE", "memory and swap together; -1: no limit"),
      option("memory-reservation", "SIZE", "memory that is taken away last"),
      option("pids-limit", "N", "no more processes than that"),
  };
}

Result<ContainerLimits> LimitsOf(const Parsed& parsed) {
  ContainerLimits limits;
  limits.cpu_us_per_s = TRY(Cpus(parsed));
  limits.memory_bytes = TRY(Bytes(parsed, "memory"));
  limits.memory_low_bytes = TRY(Bytes(parsed, "memory-reservation"));
  limits.swap_bytes = TRY(Swap(parsed, limits.memory_bytes));
  limits.processes = TRY(Count(parsed, "pids-limit", 1, 4'194'304));
  // The range of cgroup v1's shares onto that of v2's weights, with the usual value on the usual value.
  if (auto shares = TRY(Count(parsed, "cpu-shares", 2, 262'144)))
    limits.cpu_weight = std::clamp<std::uint64_t>(*shares * 100 / 1024, 1, 10'000);
  if (parsed.Has("cpuset-cpus"))
    limits.cpus = TRY_CONTEXT(ParseCpuList(parsed.Value("cpuset-cpus")), "--cpuset-cpus");
  return limits;
}

}  // namespace slipway::cli
