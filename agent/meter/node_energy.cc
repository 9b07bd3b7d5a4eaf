// SPDX-License-Identifier: Apache-2.0
#include "agent/meter/node_energy.h"

#include "base/text/text.h"
#include "base/text/units.h"

namespace slipway {
namespace {

constexpr const char* kZones = "/sys/class/powercap";

// "intel-rapl:0" is a package, "intel-rapl:0:1" a part of it. The same driver serves AMD; intel-rapl-mmio
// counts the same energy again.
bool IsZone(const std::string& name) { return name.starts_with("intel-rapl:"); }

std::optional<std::uint64_t> ReadCounter(const HostTree& host, const std::string& file) {
  auto value = host.Number(file);
  return value && *value >= 0 ? std::optional(static_cast<std::uint64_t>(*value)) : std::nullopt;
}

}  // namespace

NodeEnergy::NodeEnergy(HostTree host) : host_(std::move(host)) {
  for (const std::string& name : host_.Names(kZones)) {
    if (!IsZone(name)) continue;
    std::string folder = Cat(kZones, "/", name);
    std::string what = host_.Text(folder + "/name").value_or("");
    if (!what.starts_with("package-") && what != "dram") continue;
    auto range = ReadCounter(host_, folder + "/max_energy_range_uj");
    std::string file = folder + "/energy_uj";
    if (auto readable = host_.Read(file); !readable || !range || *range == 0) {
      why_not_ =
          Cat("energy is not counted: ", readable ? folder + " has no range" : readable.error().message,
              "; slipway-agent.service lets its group read it (docs/node-life.md)");
      counters_.clear();
      return;
    }
    counters_.push_back({.file = file, .range = *range, .last = {}});
  }
  if (counters_.empty()) why_not_ = Cat("energy is not counted: no RAPL counter in ", kZones);
}

std::optional<std::uint64_t> NodeEnergy::Total() {
  if (counters_.empty()) return {};
  for (Counter& counter : counters_) {
    auto now = ReadCounter(host_, counter.file);
    if (!now) return {};
    if (counter.last)
      total_ += *now >= *counter.last ? *now - *counter.last : counter.range - *counter.last + *now;
    counter.last = now;
  }
  return total_;
}

std::optional<std::uint64_t> NodeBusy(const HostTree& host, std::uint64_t ticks_per_s) {
  auto text = host.Read("/proc/stat");
  if (!text || !text->starts_with("cpu ")) return {};
  std::uint64_t ticks = 0;
  std::size_t column = 0;
  for (const std::string& word : Split(text->substr(4, text->find('\n') - 4), ' ')) {
    if (word.empty()) continue;
    auto value = ParseNumber(word, 0, UINT64_MAX);
    if (!value) return {};
    // user nice system idle iowait irq softirq; what a hypervisor took, and guests (in user already), not.
    constexpr std::size_t kIdle = 3, kWait = 4, kSteal = 7;
    if (column != kIdle && column != kWait && column < kSteal) ticks += *value;
    ++column;
  }
  return column <= 3 ? std::nullopt : std::optional(ticks * (1'000'000 / ticks_per_s));
}

}  // namespace slipway
