// SPDX-License-Identifier: Apache-2.0
#include "scheduler/core/usage.h"

#include <algorithm>
#include <cmath>

namespace slipway::scheduler {
namespace {

constexpr std::uint64_t kOne = std::uint64_t{1} << 32;
constexpr std::uint64_t kUsageMax = std::uint64_t{1} << 62;

std::uint64_t TimesQ32(std::uint64_t value, std::uint64_t fraction) {
  return static_cast<std::uint64_t>((static_cast<unsigned __int128>(value) * fraction) >> 32);
}

// fraction^n, by squaring.
std::uint64_t PowerQ32(std::uint64_t fraction, std::uint64_t n) {
  std::uint64_t power = kOne;
  for (; n > 0; n >>= 1) {
    if ((n & 1) != 0) power = TimesQ32(power, fraction);
    fraction = TimesQ32(fraction, fraction);
  }
  return power;
}

// 1 + f + … + f^(n-1), as a fraction of 2^32; exact for f = 1, else until the terms vanish.
std::uint64_t SumOfPowersQ32(std::uint64_t fraction, std::uint64_t n) {
  if (fraction >= kOne) return n >= kOne ? UINT64_MAX : n * kOne;
  std::uint64_t sum = 0;
  for (std::uint64_t term = kOne; n > 0 && term > 0; --n, term = TimesQ32(term, fraction)) sum += term;
  return sum;
}

std::uint64_t Product(std::uint64_t rate, std::int64_t us) {
  auto product = static_cast<unsigned __int128>(rate) *
                 static_cast<std::uint64_t>(std::max<std::int64_t>(us, 0)) / 1'000'000;
  return product > kUsageMax ? kUsageMax : static_cast<std::uint64_t>(product);
}

void AddUsage(State& state, const Job& job, std::uint64_t amount) {
  auto found = state.usage.find({job.spec->account, job.spec->user.uid});
  if (found != state.usage.end())
    found->second = std::min(kUsageMax, found->second + std::min(kUsageMax, amount));
}

}  // namespace

std::uint32_t DecayOf(std::uint32_t half_life_s, std::uint32_t period_s) {
  if (half_life_s == 0) return 0;
  double factor = std::exp2(-static_cast<double>(period_s) / half_life_s);
  return static_cast<std::uint32_t>(
      std::clamp(factor * static_cast<double>(kOne), 1.0, static_cast<double>(kOne - 1)));
}

std::uint64_t BillingOf(const UsageRules& rules, const std::vector<NodeAllocation>& nodes,
                        std::uint32_t qos_milli) {
  std::uint64_t cores = 0, mib = 0, gpus = 0;
  for (const NodeAllocation& held : nodes) {
    cores += held.cores.count();
    mib += held.memory_bytes >> 20;
    gpus += held.gpus.count();
  }
  std::uint64_t billing = cores * rules.cpu_milli + mib * rules.mem_milli / 1024 + gpus * rules.gpu_milli +
                          nodes.size() * rules.node_milli;
  return billing * qos_milli / 1000;
}

void ChargeJob(State& state, Job& job, Time now) {
  if (job.billing == 0 || job.suspended()) return;  // what stands still costs nothing
  AddUsage(state, job, Product(job.billing, now.us - job.charged_until.us));
  job.charged_until = std::max(job.charged_until, now);
}

void AdvanceUsage(State& state, Time now) {
  UsageClock& clock = state.usage_clock;
  std::int64_t period_us = std::int64_t{clock.period_s} * 1'000'000;
  if (period_us == 0 || now.us < clock.at.us + period_us) return;
  auto periods = static_cast<std::uint64_t>((now.us - clock.at.us) / period_us);
  std::uint64_t fraction = clock.decay_q32 == 0 ? kOne : clock.decay_q32;
  std::uint64_t all = PowerQ32(fraction, periods), after_first = PowerQ32(fraction, periods - 1);
  std::uint64_t later = SumOfPowersQ32(fraction, periods - 1);
  for (auto& [key, usage] : state.usage) usage = TimesQ32(usage, all);
  Time first_end{clock.at.us + period_us};
  clock.at = {clock.at.us + static_cast<std::int64_t>(periods) * period_us};
  // What runs has been charged up to the start of the first of these periods, or since its own start in it.
  for (JobId id : state.active) {
    Job& job = state.jobs.at(id);
    if (job.billing == 0 || job.suspended()) continue;
    std::uint64_t charge = TimesQ32(Product(job.billing, first_end.us - job.charged_until.us), after_first);
    std::uint64_t whole = Product(job.billing, period_us);
    AddUsage(state, job, charge);
    AddUsage(state, job, TimesQ32(whole, later));
    job.charged_until = clock.at;
  }
}

void StartUsageClock(State& state, UsageClock clock, Time now) {
  for (JobId id : state.active) ChargeJob(state, state.jobs.at(id), now);
  state.usage_clock = clock;
  state.usage_clock.at = now;
}

}  // namespace slipway::scheduler
