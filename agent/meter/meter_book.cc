// SPDX-License-Identifier: Apache-2.0
#include "agent/meter/meter_book.h"

#include <algorithm>

namespace slipway {
namespace {

constexpr std::uint64_t kMicroPerMilli = 1000;

std::optional<std::uint64_t> Moved(const std::optional<std::uint64_t>& from,
                                   const std::optional<std::uint64_t>& to) {
  return from && to && *to >= *from ? std::optional(*to - *from) : std::nullopt;
}

}  // namespace

void MeterBook::Began(const StepId& step, std::vector<std::string> gpus, const NodeCounters& now) {
  if (steps_.contains(step)) return;
  for (auto& [id, other] : steps_) other.alone = false;
  Entry& entry = steps_[step];
  entry.begin = now;
  entry.alone = steps_.size() == 1;
  for (std::string& gpu : gpus) entry.gpus[std::move(gpu)];
}

void MeterBook::Saw(const GpuUse& use, MonotonicTime at) {
  for (auto& [id, entry] : steps_) {
    auto found = entry.gpus.find(use.id);
    if (found == entry.gpus.end()) continue;
    bool first = !found->second;
    if (first) found->second.emplace();
    SeenGpu& seen = *found->second;
    if (!first && use.busy_percent && at - seen.at <= kLongestLook) {
      auto us = static_cast<std::uint64_t>(
          std::chrono::duration_cast<std::chrono::microseconds>(at - seen.at).count());
      entry.use.gpu_watched_us += us;
      entry.use.gpu_busy_us += us * *use.busy_percent / 100;
    }
    seen.at = at;
    if (use.energy_mj) {
      // The driver was loaded anew: what it counted before is kept as it is.
      if (!seen.first_energy_mj || *use.energy_mj < *seen.last_energy_mj)
        seen.first_energy_mj = use.energy_mj;
      else
        entry.use.gpu_energy_mj += *use.energy_mj - *seen.last_energy_mj;
      seen.last_energy_mj = use.energy_mj;
    }
    if (use.memory_bytes) seen.memory_bytes = *use.memory_bytes;
    std::uint64_t memory = 0;
    for (const auto& [gpu, each] : entry.gpus) memory += each ? each->memory_bytes : 0;
    entry.use.gpu_memory_peak_bytes = std::max(entry.use.gpu_memory_peak_bytes, memory);
  }
}

MeteredUse MeterBook::Ended(const StepId& step, std::uint64_t cpu_us, const NodeCounters& now) {
  auto node = steps_.extract(step);
  if (node.empty()) return {};
  Entry& entry = node.mapped();
  auto energy = Moved(entry.begin.energy_uj, now.energy_uj);
  if (!energy) return entry.use;
  entry.use.node_energy_mj = *energy / kMicroPerMilli;
  auto busy = Moved(entry.begin.busy_us, now.busy_us);
  if (entry.alone)
    entry.use.energy_mj = entry.use.node_energy_mj;
  else if (busy && *busy > 0)
    entry.use.energy_mj =
        static_cast<std::uint64_t>(static_cast<double>(entry.use.node_energy_mj) *
                                   std::min(1.0, static_cast<double>(cpu_us) / static_cast<double>(*busy)));
  return entry.use;
}

bool MeterBook::any_gpus() const {
  return std::ranges::any_of(steps_, [](const auto& step) { return !step.second.gpus.empty(); });
}

}  // namespace slipway
