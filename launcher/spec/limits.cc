// SPDX-License-Identifier: Apache-2.0
#include "launcher/spec/limits.h"

#include <algorithm>
#include <charconv>

namespace slipway {
namespace {

Result<std::uint64_t> Number(std::string_view text, std::string_view what) {
  std::uint64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || text.empty())
    return Fail(Code::kInvalidArgument, what, " '", text.substr(0, 32), "' is not a number");
  return value;
}

struct Field {
  const char* name;
  std::optional<std::uint64_t> ContainerLimits::*value;
};
constexpr Field kFields[] = {
    {"cpu-us", &ContainerLimits::cpu_us_per_s}, {"cpu-weight", &ContainerLimits::cpu_weight},
    {"memory", &ContainerLimits::memory_bytes}, {"memory-low", &ContainerLimits::memory_low_bytes},
    {"swap", &ContainerLimits::swap_bytes},     {"processes", &ContainerLimits::processes}};

}  // namespace

Result<std::vector<std::uint32_t>> ParseCpuList(std::string_view text) {
  std::vector<std::uint32_t> cpus;
  std::string_view whole = text;
  for (;;) {
    auto comma = text.find(',');
    std::string_view part = text.substr(0, comma);
    auto dash = part.find('-');
    std::uint64_t first = TRY(Number(part.substr(0, dash), "processor"));
    std::uint64_t last =
        dash == std::string_view::npos ? first : TRY(Number(part.substr(dash + 1), "processor"));
    if (first > last || last >= kLimitCpusMax)
      return Fail(Code::kInvalidArgument, "processors '", whole.substr(0, 64), "': '", part.substr(0, 32),
                  "' is no range below ", kLimitCpusMax);
    for (; first <= last; ++first) cpus.push_back(static_cast<std::uint32_t>(first));
    if (cpus.size() > kLimitCpusMax)
      return Fail(Code::kInvalidArgument, "more than ", kLimitCpusMax, " processors");
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 1);
  }
  std::sort(cpus.begin(), cpus.end());
  cpus.erase(std::unique(cpus.begin(), cpus.end()), cpus.end());
  return cpus;
}

std::vector<std::string> LimitWords(const ContainerLimits& limits) {
  std::vector<std::string> words;
  for (const Field& field : kFields) {
    if (limits.*field.value) words.push_back(Cat(field.name, "=", *(limits.*field.value)));
  }
  if (limits.cpus.empty()) return words;
  std::string list;
  for (std::uint32_t cpu : limits.cpus) list += Cat(list.empty() ? "" : ",", cpu);
  words.push_back("cpus=" + list);
  return words;
}

Result<ContainerLimits> ParseLimitWords(const std::vector<std::string>& words) {
  ContainerLimits limits;
  for (const std::string& word : words) {
    auto equals = std::min(word.find('='), word.size());
    std::string_view name = std::string_view(word).substr(0, equals);
    std::string_view value = std::string_view(word).substr(std::min(equals + 1, word.size()));
    if (name == "cpus") {
      limits.cpus = TRY(ParseCpuList(value));
      continue;
    }
    auto field =
        std::find_if(std::begin(kFields), std::end(kFields), [&](auto& f) { return name == f.name; });
    if (field == std::end(kFields))
      return Fail(Code::kInvalidArgument, "limit '", name.substr(0, 32), "' is not known");
    limits.*(field->value) = TRY(Number(value, name));
  }
  if (limits.cpu_weight && (*limits.cpu_weight < 1 || *limits.cpu_weight > 10000))
    return Fail(Code::kInvalidArgument, "cpu-weight ", *limits.cpu_weight, " is not in 1 to 10000");
  for (auto value : {limits.cpu_us_per_s, limits.memory_bytes, limits.processes}) {
    if (value && *value == 0) return Fail(Code::kInvalidArgument, "a limit of nothing");
  }
  return limits;
}

}  // namespace slipway
