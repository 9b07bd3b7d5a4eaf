// SPDX-License-Identifier: Apache-2.0
#include "scheduler/core/locality.h"

#include <algorithm>
#include <tuple>

#include "base/result/result.h"

namespace slipway::scheduler {
namespace {

CoreSet Common(const CoreSet& a, const CoreSet& b) {
  CoreSet only_a = a, both = a;
  only_a.Remove(b);
  both.Remove(only_a);
  return both;
}

// What is free of each domain, and last of none that is known.
std::vector<CoresAndGpus> DomainsOf(const NodeLocality& locality, const std::vector<std::string>& gpu_ids,
                                    const CoreSet& cores, const CoreSet& gpus) {
  std::map<std::uint32_t, CoresAndGpus> free;
  CoresAndGpus rest{cores, gpus};
  for (const auto& [domain, of_domain] : locality.cores) {
    free[domain].cores = Common(cores, of_domain);
    rest.cores.Remove(of_domain);
  }
  for (std::uint32_t gpu : gpus.Numbers()) {
    auto found = gpu < gpu_ids.size() ? locality.gpus.find(gpu_ids[gpu]) : locality.gpus.end();
    if (found == locality.gpus.end()) continue;
    CoreSet one = CoreSet::FirstN(gpu + 1);
    one.Remove(CoreSet::FirstN(gpu));
    free[found->second].gpus.Insert(one);
    rest.gpus.Remove(one);
  }
  std::vector<CoresAndGpus> domains;
  for (auto& [domain, of_domain] : free) domains.push_back(std::move(of_domain));
  domains.push_back(std::move(rest));
  return domains;
}

}  // namespace

CoresAndGpus ChooseCoresAndGpus(const NodeLocality& locality, const std::vector<std::string>& gpu_ids,
                                CoreSet cores, std::uint32_t cores_wanted, CoreSet gpus,
                                std::uint32_t gpus_wanted) {
  std::vector<CoresAndGpus> domains = DomainsOf(locality, gpu_ids, cores, gpus);
  // One that has enough: of these the one of which least is left, GPUs first, so that jobs without GPUs do
  // not take the cores beside them.
  const CoresAndGpus* best = nullptr;
  for (const CoresAndGpus& domain : domains) {
    if (domain.cores.count() < cores_wanted || domain.gpus.count() < gpus_wanted) continue;
    auto left = [](const CoresAndGpus& one) { return std::tuple(one.gpus.count(), one.cores.count()); };
    if (best == nullptr || left(domain) < left(*best)) best = &domain;
  }
  if (best != nullptr) return {best->cores.Lowest(cores_wanted), best->gpus.Lowest(gpus_wanted)};
  CoresAndGpus chosen;
  while (cores_wanted > 0 || gpus_wanted > 0) {
    auto gives = [&](const CoresAndGpus& one) {
      return std::tuple(std::min(one.gpus.count(), gpus_wanted), std::min(one.cores.count(), cores_wanted));
    };
    auto most = std::ranges::max_element(domains, {}, gives);
    const auto [gpus_here, cores_here] = gives(*most);
    CHECK(gpus_here + cores_here > 0);
    chosen.cores.Insert(most->cores.Lowest(cores_here));
    chosen.gpus.Insert(most->gpus.Lowest(gpus_here));
    cores_wanted -= cores_here;
    gpus_wanted -= gpus_here;
    domains.erase(most);
  }
  return chosen;
}

}  // namespace slipway::scheduler
