// SPDX-License-Identifier: Apache-2.0
#include "agent/stepd/spare_processors.h"

#include <algorithm>

#include "base/os/fd.h"
#include "base/result/result.h"
#include "base/text/text.h"
#include "base/text/units.h"

namespace slipway {

SpareProcessors::SpareProcessors(std::vector<std::uint32_t> all,
                                 const std::vector<std::vector<std::uint32_t>>& bound)
    : all_(std::move(all)) {
  for (const auto& processors : bound) taken_.insert(processors.begin(), processors.end());
  if (!bound.empty()) each_ = bound.front().size();
}

std::vector<std::uint32_t> SpareProcessors::Lend(std::uint32_t task) {
  std::vector<std::uint32_t> given;
  for (std::uint32_t processor : all_) {
    if (given.size() < each_ && !taken_.contains(processor)) given.push_back(processor);
  }
  if (each_ == 0 || given.size() < each_) {
    given = all_;
  } else {
    taken_.insert(given.begin(), given.end());
    lent_[task] = given;
  }
  std::sort(given.begin(), given.end());
  return given;
}

void SpareProcessors::Return(std::uint32_t task) {
  auto at = lent_.find(task);
  if (at == lent_.end()) return;
  for (std::uint32_t processor : at->second) taken_.erase(processor);
  lent_.erase(at);
}

std::vector<std::uint32_t> ByCore(std::vector<std::uint32_t> processors, const char* sysfs) {
  std::map<std::uint32_t, std::uint64_t> first;  // of its core's processors
  for (std::uint32_t processor : processors) {
    std::string list = ReadFile(Cat(sysfs, "/devices/system/cpu/cpu", processor, "/topology/core_cpus_list"))
                           .value_or(std::string());
    first[processor] =
        ParseNumber(Trim(list.substr(0, list.find_first_of(",-"))), 0, UINT32_MAX).value_or(processor);
  }
  std::stable_sort(processors.begin(), processors.end(),
                   [&](std::uint32_t a, std::uint32_t b) { return first[a] < first[b]; });
  return processors;
}

}  // namespace slipway
