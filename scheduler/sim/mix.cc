// SPDX-License-Identifier: Apache-2.0
// The benchmark's mixes: docs/simulation.md says what each is.
#include "scheduler/sim/load.h"

namespace slipway::scheduler {
namespace {

constexpr plan::Instant kMinute = 60'000'000;
constexpr std::int64_t kCoresPerNode = 64;
constexpr std::int64_t kMemoryPerNode = std::int64_t{256} << 30;

plan::PlanJob JobOf(plan::Instant length, const plan::Vec& node, std::uint32_t nodes) {
  plan::PlanJob job;
  job.facts.length = length;
  job.facts.processors = node[plan::kCores] * nodes;
  job.request.node = node;
  job.request.nodes_min = job.request.nodes_max = nodes;
  return job;
}

plan::Vec Need(std::int64_t cores, std::int64_t memory, bool exclusive) {
  plan::Vec need;
  need[plan::kCores] = cores;
  need[plan::kMemory] = memory;
  need[plan::kToken] = exclusive ? plan::kTokens : 1;
  return need;
}

}  // namespace

bool Mix::Known(const std::string& name) { return name == "trace" || name == "centre" || name == "distinct"; }

Mix::Mix(const std::string& name, std::uint32_t nodes, std::uint64_t seed)
    : name_(name), nodes_(nodes), rng_(seed) {}

void Mix::AddNodes(plan::Cluster& cluster) {
  bool centre = name_ == "centre";
  for (std::uint32_t i = 0; i < nodes_; ++i) {
    plan::Vec total = Need(kCoresPerNode, kMemoryPerNode, true);
    if (centre && i % 5 == 0) {  // a fifth has GPUs, of two types
      total[plan::kGpus] = 4;
      total[plan::kGpuType + (i / 5) % 2] = 4;
    }
    if (centre && i % 7 == 0) total[plan::kMemory] *= 4;
    cluster.AddNode(total);
  }
  if (!centre) return;
  // Six partitions that overlap, each also with one of three features.
  for (std::uint32_t partition = 0; partition < 6; ++partition) {
    for (std::uint32_t feature = 0; feature < 4; ++feature) {
      plan::NodeBits set(nodes_);
      for (std::uint32_t i = 0; i < nodes_; ++i) {
        std::uint32_t place = (i + partition * nodes_ / 8) % nodes_;
        bool in = place < nodes_ / 2 && (feature == 0 || (i / 3) % 3 == feature - 1);
        set.Put(i, in);
      }
      sets_.push_back(cluster.AddSet(std::move(set)));
    }
  }
}

// Sizes and limits as in the KTH trace: mostly small, powers of two preferred, limits from a short list.
plan::PlanJob Mix::TraceLike() {
  static constexpr std::uint32_t kSizes[] = {1, 1, 1, 2, 2, 2, 4, 4, 4, 8, 8, 8, 16, 16, 32, 64};
  static constexpr std::int64_t kLimits[] = {5, 10, 15, 30, 60, 60, 120, 240, 240, 480, 720, 900, 1440, 2880};
  std::uint32_t nodes = kSizes[rng_.Below(std::size(kSizes))];
  if (rng_.Chance(250)) nodes = rng_.Between(1, 64);
  if (rng_.Chance(10)) nodes = rng_.Between(64, std::max(65U, nodes_ / 20));
  std::int64_t limit = kLimits[rng_.Below(std::size(kLimits))];
  return JobOf(limit * kMinute, Need(kCoresPerNode, 0, true), std::min(nodes, nodes_));
}

plan::PlanJob Mix::Centre() {
  static constexpr std::int64_t kLimits[] = {10, 30, 60, 120, 240, 480, 720, 1440, 2880, 4320};
  static constexpr std::int64_t kCores[] = {1, 2, 4, 8, 16, 32};
  static constexpr std::int64_t kMemory[] = {2, 4, 8, 16, 32, 64};
  std::int64_t limit = kLimits[rng_.Below(std::size(kLimits))];
  plan::PlanJob job;
  if (rng_.Chance(450)) {
    job = JobOf(limit * kMinute, Need(kCoresPerNode, 0, true), 1U << rng_.Below(8));
  } else {
    auto memory = kMemory[rng_.Below(std::size(kMemory))] << 30;
    job = JobOf(limit * kMinute, Need(kCores[rng_.Below(std::size(kCores))], memory, false),
                1U << rng_.Below(3));
    if (rng_.Chance(150)) {
      auto gpus = static_cast<std::int64_t>(1 + rng_.Below(4));
      job.request.node[plan::kGpus] = gpus;
      job.request.node[plan::kGpuType + rng_.Below(2)] = gpus;
    }
  }
  job.request.where = sets_[rng_.Below(6) * 4 + (rng_.Chance(700) ? 0 : rng_.Between(1, 3))];
  job.facts.priority = static_cast<std::int64_t>(rng_.Below(300)) * 1000;  // by user
  return job;
}

// Nearly every request is like no other.
plan::PlanJob Mix::Distinct() {
  auto limit = static_cast<plan::Instant>(rng_.Between(1, 4320)) * kMinute;
  bool exclusive = rng_.Chance(300);
  auto memory = static_cast<std::int64_t>(rng_.Between(1, 200'000)) << 20;
  std::int64_t cores = exclusive ? kCoresPerNode : rng_.Between(1, 64);
  plan::PlanJob job = JobOf(limit, Need(cores, memory, exclusive), std::min(nodes_, rng_.Between(1, 128)));
  job.facts.priority = static_cast<std::int64_t>(rng_.Below(1000));
  return job;
}

plan::PlanJob Mix::Next(plan::JobNumber id, plan::Instant now) {
  plan::PlanJob job = name_ == "centre" ? Centre() : name_ == "distinct" ? Distinct() : TraceLike();
  job.facts.id = id;
  job.facts.submitted = now;
  return job;
}

}  // namespace slipway::scheduler
