// SPDX-License-Identifier: Apache-2.0
#include "agent/binding/bind_plan.h"

#include <algorithm>
#include <map>
#include <set>

#include "launcher/spec/cgroup_settings.h"

namespace slipway {
namespace {

using Way = Distribution::Way;
using Units = std::vector<Processor>;  // what is dealt out, each by its first thread

// The step's processors without those that the hint leaves out.
Units Usable(const Topology& topology, const std::vector<std::uint32_t>& allowed, BindHint hint) {
  bool one_thread = hint != BindHint::kNone && hint != BindHint::kMultithread;
  std::set<std::uint32_t> cpus(allowed.begin(), allowed.end()), cores, sockets;
  Units usable;
  for (const Processor& processor : topology.processors) {
    if (!allowed.empty() && !cpus.contains(processor.cpu)) continue;
    if (hint == BindHint::kMemoryBound && !sockets.insert(processor.socket).second) continue;
    if (one_thread && !cores.insert(processor.core).second) continue;
    usable.push_back(processor);
  }
  return usable;
}

Units FirstThreads(const Units& processors) {
  Units firsts;
  for (const Processor& processor : processors) {
    if (firsts.empty() || firsts.back().core != processor.core) firsts.push_back(processor);
  }
  return firsts;
}

// Threads in the order in which ranks of one socket take them: core by core, or all first threads first.
Units ThreadsInOrder(Units processors, Way cores) {
  if (cores == Way::kBlock) return processors;
  std::map<std::uint32_t, std::uint32_t> seen;
  std::vector<std::pair<std::uint32_t, Processor>> numbered;
  for (const Processor& processor : processors) numbered.emplace_back(seen[processor.core]++, processor);
  std::stable_sort(numbered.begin(), numbered.end(), [](auto& a, auto& b) {
    return std::pair(a.second.socket, a.first) < std::pair(b.second.socket, b.first);
  });
  std::transform(numbered.begin(), numbered.end(), processors.begin(), [](auto& one) { return one.second; });
  return processors;
}

// Deals units to ranks over the sockets; when all are dealt they are dealt again.
class Dealer {
 public:
  Dealer(Units units, Way sockets) : units_(std::move(units)), way_(sockets) { Refill(); }

  Units Take(std::size_t count) {
    Units taken;
    // All of a rank's in one socket, if one has so many.
    if (way_ == Way::kCyclic && !SeekRoom(count)) SeekRoom(1);
    while (taken.size() < count) {
      if (left_ == 0) Refill();
      if (piles_[at_].empty()) {
        at_ = (at_ + 1) % piles_.size();
        continue;
      }
      taken.push_back(piles_[at_].front());
      piles_[at_].erase(piles_[at_].begin());
      --left_;
      if (way_ == Way::kFcyclic) at_ = (at_ + 1) % piles_.size();
    }
    if (way_ == Way::kCyclic) at_ = (at_ + 1) % piles_.size();
    return taken;
  }

 private:
  void Refill() {
    piles_.clear();
    std::map<std::uint32_t, std::size_t> pile_of;
    for (const Processor& unit : units_) {
      auto [at, added] = pile_of.emplace(way_ == Way::kBlock ? 0 : unit.socket, piles_.size());
      if (added) piles_.emplace_back();
      piles_[at->second].push_back(unit);
    }
    left_ = units_.size();
    at_ = 0;
  }
  bool SeekRoom(std::size_t count) {
    for (std::size_t tries = 0; tries < piles_.size(); ++tries) {
      std::size_t candidate = (at_ + tries) % piles_.size();
      if (piles_[candidate].size() < count) continue;
      at_ = candidate;
      return true;
    }
    return false;
  }

  Units units_;
  Way way_;
  std::vector<Units> piles_;
  std::size_t at_ = 0, left_ = 0;
};

bool Near(const Processor& a, const Processor& b, CpuBind::Kind kind) {
  switch (kind) {
    case CpuBind::kSockets:
      return a.socket == b.socket;
    case CpuBind::kLdoms:
      return a.numa == b.numa;
    case CpuBind::kThreads:
    case CpuBind::kRank:
      return a.cpu == b.cpu;
    default:
      return a.core == b.core;
  }
}

// A rank's units, widened to all usable processors of the cores, domains or sockets that they are in.
std::vector<std::uint32_t> Widen(const Units& units, const Units& usable, CpuBind::Kind kind) {
  std::vector<std::uint32_t> cpus;
  for (const Processor& processor : usable) {
    if (std::any_of(units.begin(), units.end(), [&](auto& unit) { return Near(unit, processor, kind); }))
      cpus.push_back(processor.cpu);
  }
  std::sort(cpus.begin(), cpus.end());
  return cpus;
}

Result<BindPlan> FromList(const CpuBind& bind, const Units& usable, std::size_t ranks) {
  BindPlan plan{.what = "list"};
  for (const auto& cpus : bind.cpus) {
    for (std::uint32_t cpu : cpus) {
      if (std::none_of(usable.begin(), usable.end(), [&](auto& one) { return one.cpu == cpu; }))
        return Fail(Code::kInvalidArgument, "--cpu-bind: processor ", cpu, " is not one of the step's here (",
                    NumberList(Widen(usable, usable, CpuBind::kThreads)), ")");
    }
  }
  for (std::size_t rank = 0; rank < ranks; ++rank) plan.cpus.push_back(bind.cpus[rank % bind.cpus.size()]);
  return plan;
}

const char* NameOf(CpuBind::Kind kind) {
  constexpr const char* kNames[] = {"auto", "none", "threads", "cores", "sockets", "ldoms", "rank", "list"};
  return kNames[kind];
}

}  // namespace

Result<BindPlan> PlanBinding(const Topology& topology, const std::vector<std::uint32_t>& allowed,
                             std::size_t ranks, std::uint32_t cores_each, const BindRequest& request) {
  Units usable = Usable(topology, allowed, request.hint);
  std::size_t each = std::max(1U, cores_each);
  CpuBind::Kind kind = request.bind.kind;
  if (kind == CpuBind::kAuto) {
    bool fits = ranks > 1 && FirstThreads(usable).size() == ranks * each;
    kind = fits || request.hint != BindHint::kNone ? CpuBind::kCores : CpuBind::kNone;
  }
  if (usable.empty() || ranks == 0 || kind == CpuBind::kNone) return BindPlan{.what = "none"};
  if (kind == CpuBind::kList) return FromList(request.bind, usable, ranks);
  bool threads = kind == CpuBind::kThreads || kind == CpuBind::kRank;
  Units units = threads ? ThreadsInOrder(usable, request.distribution.cores) : FirstThreads(usable);
  Dealer dealer(units, kind == CpuBind::kRank ? Way::kBlock : request.distribution.sockets);
  BindPlan plan{.what = NameOf(kind)};
  for (std::size_t rank = 0; rank < ranks; ++rank)
    plan.cpus.push_back(Widen(dealer.Take(std::min(each, units.size())), usable, kind));
  return plan;
}

std::string DescribeBinding(const BindPlan& plan) {
  constexpr std::size_t kBytes = 900;
  std::string text = plan.what;
  for (std::size_t rank = 0; rank < plan.cpus.size(); ++rank) {
    if (text.size() > kBytes) return text + " …";
    text += Cat(" ", rank, ":", NumberList(plan.cpus[rank]));
  }
  return text;
}

}  // namespace slipway
