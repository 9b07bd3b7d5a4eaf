// SPDX-License-Identifier: Apache-2.0
// Ranks count down (smaller is first) and priorities up, so a lane's offset is what its jobs' priorities
// lack, negated.
#include "scheduler/core/priority_order.h"

#include <algorithm>

#include "scheduler/core/placement.h"

namespace slipway::scheduler {
namespace {

constexpr std::int64_t kTier = std::int64_t{1} << 47;  // more than all factors and ages together
constexpr std::int64_t kTiers = 1001;                  // jobs of a QOS that preempts come before all tiers

std::int64_t Part(std::uint32_t weight, std::int64_t part, std::int64_t whole) {
  if (whole <= 0) return 0;
  part = std::clamp<std::int64_t>(part, 0, whole);
  return static_cast<std::int64_t>(static_cast<__int128>(weight) * kPriorityUnit * part / whole);
}

std::uint32_t HighestPriority(const auto& items) {
  std::uint32_t highest = 0;
  for (const auto& item : items) highest = std::max(highest, item.priority);
  return highest;
}

std::string Points(std::int64_t value) {
  std::int64_t hundredths = value * 100 / kPriorityUnit;
  std::string text = Cat(hundredths / 100);
  if (hundredths % 100 == 0) return text;
  std::int64_t rest = std::abs(hundredths % 100);
  return Cat(hundredths < 0 && hundredths > -100 ? "-" : "", text, rest < 10 ? ".0" : ".",
             rest % 10 == 0 ? rest / 10 : rest);
}

AssociationKey KeyOf(const Job& job) { return {job.spec->account, job.spec->user.uid}; }

Time EligibleSince(const Job& job) { return std::max(job.eligible, job.begin); }

}  // namespace

std::int64_t PriorityOrder::AgePoints(std::int64_t us) const {
  const __int128 product = static_cast<__int128>(site_->weights.age) * kPriorityUnit * us;
  const __int128 full = FullAge_us();
  return static_cast<std::int64_t>(product / full - (product % full < 0 ? 1 : 0));
}

Time PriorityOrder::SaturationOf(const Job& job) const {
  return EligibleSince(job).PlusSeconds(site_->weights.age_max_s);
}

std::int64_t PriorityOrder::FairPoints(const AssociationKey& key) const {
  auto user = tree_.users.find(key);
  if (user == tree_.users.end()) return Part(site_->weights.fair_share, 1, 1);  // new: has used nothing
  return Part(site_->weights.fair_share, user->second.rank, user->second.of);
}

std::int64_t PriorityOrder::TierOf(const Job& job) const {
  std::int64_t tier = 0;
  for (const Partition* partition : site_->PartitionsOf(job.PartitionName()))
    tier = std::max<std::int64_t>(tier, partition->tier);
  return tier;
}

PriorityParts PriorityOrder::StaticParts(const Job& job) const {
  const PriorityWeights& weights = site_->weights;
  const Resources& asked = job.spec->resources;
  PriorityParts parts;
  parts.site = std::int64_t{job.base_priority} * kPriorityUnit;
  parts.nice = std::int64_t{job.nice} * kPriorityUnit;
  Tres needs = AskedOf(asked);
  if (weights.size > 0) {
    std::int64_t size = Part(weights.size, needs.cores, totals_.cores);
    if (asked.exclusive) size = std::max(size, Part(weights.size, needs.nodes, totals_.nodes));
    parts.size = weights.favour_small ? weights.size * kPriorityUnit - size : size;
  }
  for (const Partition* partition : site_->PartitionsOf(asked.partition))
    parts.partition = std::max(
        parts.partition, Part(weights.partition, partition->priority, HighestPriority(site_->partitions)));
  if (const Qos* qos = site_->FindQos(job.spec->qos))
    parts.qos = Part(weights.qos, qos->priority, HighestPriority(site_->qos));
  for (const auto& [name, weight] : weights.tres) {
    if (name == "cpu") parts.tres += Part(weight, needs.cores, totals_.cores);
    if (name == "mem") parts.tres += Part(weight, needs.memory_bytes, totals_.memory_bytes);
    if (name == "gpu") parts.tres += Part(weight, needs.gpus, totals_.gpus);
    if (name == "node") parts.tres += Part(weight, needs.nodes, totals_.nodes);
  }
  return parts;
}

PriorityParts PriorityOrder::PartsOf(const Job& job, Time now) const {
  PriorityParts parts = StaticParts(job);
  std::int64_t age = std::clamp<std::int64_t>(now.us - EligibleSince(job).us, 0,
                                              std::int64_t{site_->weights.age_max_s} * 1'000'000);
  parts.age = AgePoints(age);
  parts.fair_share = FairPoints(KeyOf(job));
  return parts;
}

void PriorityOrder::Reset(const State& state, const Tres& totals) {
  totals_ = totals;
  origin_ = {state.now.us - state.now.us % FullAge_us()};
  offsets_at_ = state.now;
  lanes_.clear();
  growing_.clear();
  old_jobs_ = 0;
  fair_due_ = {};
  if (site_->weights.fair_share > 0) tree_ = ComputeFairTree(state);
}

PriorityOrder::Lanes& PriorityOrder::LanesOf(const Job& job, plan::Planner& planner) {
  auto [place, added] = lanes_.try_emplace(KeyOf(job));
  if (added) {
    plan::Rank fair = -FairPoints(place->first);
    place->second.growing = planner.AddLane(fair - AgePoints(offsets_at_.us - origin_.us));
    place->second.old = planner.AddLane(fair - AgePoints(std::int64_t{site_->weights.age_max_s} * 1'000'000));
  }
  return place->second;
}

PriorityOrder::Place PriorityOrder::PlaceOf(const Job& job, plan::Planner& planner) {
  Place place;
  place.priority = StaticParts(job).sum();
  place.priority += kTier * TierOf(job);
  const Qos* qos = site_->FindQos(job.spec->qos);
  if (qos != nullptr && !qos->preempts.empty()) place.priority += kTier * kTiers;
  if (flat() || !planner.policy().follows_priority()) return place;
  Lanes& lanes = LanesOf(job, planner);
  const bool old = IsOld(job, planner);
  place.lane = old ? lanes.old : lanes.growing;
  if (old) {
    ++old_jobs_;
  } else if (site_->weights.age > 0) {
    if (job.state == JobState::kPending) growing_.insert({SaturationOf(job), job.id});
    place.priority -= AgePoints(EligibleSince(job).us - origin_.us);
  }
  return place;
}

void PriorityOrder::SetOffsets(plan::Planner& planner, Time now) {
  offsets_at_ = now;
  std::int64_t grown = AgePoints(now.us - origin_.us);
  std::int64_t full = AgePoints(std::int64_t{site_->weights.age_max_s} * 1'000'000);
  for (const auto& [key, lanes] : lanes_) {
    std::int64_t fair = FairPoints(key);
    planner.SetLaneOffset(lanes.growing, -fair - grown);
    planner.SetLaneOffset(lanes.old, -fair - full);
  }
}

void PriorityOrder::Update(const State& state, plan::Planner& planner, Time now) {
  if (flat() || !planner.policy().follows_priority()) return;
  bool fair = site_->weights.fair_share > 0 && fair_due_ <= now;
  if (fair) {
    tree_ = ComputeFairTree(state);
    fair_due_ = now.PlusSeconds(site_->usage.recalculate_s);
  }
  while (!growing_.empty() && growing_.begin()->first <= now) {
    JobId id = growing_.begin()->second;
    growing_.erase(growing_.begin());
    const Job* job = state.FindJob(id);
    if (job == nullptr || !planner.Knows(id.value)) continue;
    Place place = PlaceOf(*job, planner);
    planner.Rerank(id.value, -place.priority, place.lane);
  }
  // Among growing lanes alone the time does not matter.
  if (fair || old_jobs_ > 0) SetOffsets(planner, now);
}

plan::Rank PriorityOrder::RankNow(const Job& job, const plan::Planner& planner, Time now) const {
  const plan::Rank rank = planner.RankOf(job.id.value);
  const Time until = std::min(now, SaturationOf(job));
  if (flat() || !planner.policy().follows_priority() || until <= offsets_at_) return rank;
  return rank - (AgePoints(until.us - origin_.us) - AgePoints(offsets_at_.us - origin_.us));
}

Time PriorityOrder::next() const {
  Time next{Time::kNeverUs};
  if (!growing_.empty()) next = growing_.begin()->first;
  if (site_->weights.fair_share > 0) next = std::min(next, fair_due_);
  return next;
}

std::string PriorityOrder::Text(const Job& job, Time now) const {
  const PriorityWeights& weights = site_->weights;
  PriorityParts parts = PartsOf(job, now);
  std::string text = Cat(Points(parts.sum()), " = ", Points(parts.site), " asked for");
  auto add = [&](std::int64_t points, std::uint32_t weight, std::string_view name) {
    if (weight > 0) text += Cat(" + ", Points(points), " ", name, " (of ", weight, ")");
  };
  add(parts.age, weights.age, "age");
  add(parts.fair_share, weights.fair_share, "fair share");
  add(parts.size, weights.size, "size");
  add(parts.partition, weights.partition, "partition");
  add(parts.qos, weights.qos, "QOS");
  std::uint32_t tres = 0;
  for (const auto& [name, weight] : weights.tres) tres += weight;
  add(parts.tres, tres, "TRES");
  text += Cat(parts.nice < 0 ? " + " : " - ", Points(std::abs(parts.nice)), " nice");
  if (!job.PartitionName().empty() && TierOf(job) != 1) text += Cat("; tier ", TierOf(job));
  return text;
}

}  // namespace slipway::scheduler
