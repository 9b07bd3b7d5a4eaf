// SPDX-License-Identifier: Apache-2.0
#include "scheduler/core/request_changes.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "base/result/result.h"
#include "base/text/units.h"

namespace slipway::scheduler {
namespace {

constexpr std::uint64_t kMemorySteps = 16;  // of the memory asked for
constexpr std::uint64_t kMiB = 1 << 20;
constexpr std::uint32_t kMinute = 60;
constexpr std::uint64_t kYearMinutes = 365 * 24 * 60;  // of a job without a time limit

std::string Instead(std::uint64_t n, std::string_view what, std::string_view per, std::uint64_t asked) {
  return Cat("with ", Plural(n, what), per, " instead of ", asked);
}

void AddTime(const RequestChange& asked, const JobSpec& spec, std::vector<LesserAmounts>& to) {
  const bool minutes = asked.time_limit_s == 0 || asked.time_limit_s >= 2 * kMinute;
  const std::uint32_t unit = minutes ? kMinute : 1;
  const std::uint32_t least_s = std::max({spec.time_min_s, std::uint32_t{spec.signal.seconds} + 1, unit});
  const std::uint64_t all = asked.time_limit_s == 0 ? kYearMinutes : (asked.time_limit_s + unit - 1) / unit;
  to.push_back({(least_s + unit - 1) / unit, all, [=, &asked](std::uint64_t n) {
                  RequestChange change = asked;
                  change.time_limit_s = static_cast<std::uint32_t>(n * unit);
                  change.what = Cat("with a time limit of ", Plural(n, minutes ? "minute" : "second"));
                  return change;
                }});
}

void AddMemory(const RequestChange& asked, std::vector<LesserAmounts>& to) {
  for (auto what : {&Resources::memory_bytes_per_node, &Resources::memory_bytes_per_core}) {
    const std::uint64_t all = asked.resources.*what;
    if (all < 2) continue;
    to.push_back({1, std::min(all, kMemorySteps), [=, &asked](std::uint64_t n) {
                    RequestChange change = asked;
                    std::uint64_t bytes = all < kMemorySteps ? n : all / kMemorySteps * n;
                    if (bytes > kMiB) bytes -= bytes % kMiB;
                    change.resources.*what = bytes;
                    change.what = Cat("with ", FormatBytes(bytes), " of memory per ",
                                      what == &Resources::memory_bytes_per_node ? "node" : "core",
                                      " instead of ", FormatBytes(all));
                    return change;
                  }});
  }
}

void AddCount(const RequestChange& asked, std::uint32_t Resources::*count, std::string_view what,
              std::string_view per, std::vector<LesserAmounts>& to) {
  const std::uint32_t all = asked.resources.*count;
  to.push_back({1, all, [=, &asked](std::uint64_t n) {
                  RequestChange change = asked;
                  change.resources.*count = static_cast<std::uint32_t>(n);
                  change.what = Instead(n, what, per, all);
                  return change;
                }});
}

// As many tasks on each of fewer nodes, where the tasks are dealt out evenly; else the same tasks on fewer.
void AddNodes(const RequestChange& asked, std::vector<LesserAmounts>& to) {
  const Resources& r = asked.resources;
  if (!r.choice->nodes.empty()) return;  // each of them is wanted
  const std::uint32_t nodes = r.nodes_min, tasks = r.tasks;
  const std::uint32_t each = nodes > 0 && tasks % nodes == 0 ? tasks / nodes : 0;
  to.push_back({1, nodes, [=, &asked](std::uint64_t n) {
                  RequestChange change = asked;
                  change.resources.nodes_min = static_cast<std::uint32_t>(n);
                  if (each > 0) change.resources.tasks = static_cast<std::uint32_t>(n) * each;
                  change.what = each > 0 ? Cat("with ", Plural(n, "node"), " and ", Plural(n * each, "task"),
                                               " instead of ", nodes, " and ", tasks)
                                         : Instead(n, "node", "", nodes);
                  return change;
                }});
}

// The terms that & joins, in front of no |; none where there is only one.
std::vector<std::string_view> TermsOf(std::string_view constraint) {
  std::vector<std::string_view> terms;
  std::size_t begin = 0;
  int depth = 0;
  for (std::size_t i = 0; i < constraint.size(); ++i) {
    const char c = constraint[i];
    depth += c == '(' || c == '[' ? 1 : c == ')' || c == ']' ? -1 : 0;
    if (depth > 0) continue;
    if (c == '|') return {};
    if (c != '&' && c != ',') continue;
    terms.push_back(constraint.substr(begin, i - begin));
    begin = i + 1;
  }
  if (terms.empty()) return {};
  terms.push_back(constraint.substr(begin));
  return terms;
}

class Wishes {
 public:
  Wishes(const Site& site, const RequestChange& asked) : site_(site), asked_(asked), r_(asked.resources) {}

  std::vector<RequestChange> All() {
    if (r_.exclusive && !WholeNodesOnly(r_.partition))
      Add("without --exclusive", [](Resources& to) { to.exclusive = false; });
    if (r_.contiguous) Add("without --contiguous", [](Resources& to) { to.contiguous = false; });
    if (r_.switches > 0) Add("without --switches", [](Resources& to) { to.switches = 0; });
    if (!r_.choice->nodes.empty()) AddChoice("without --nodelist", {"", r_.choice->excluded});
    if (!r_.choice->excluded.empty()) AddChoice("without --exclude", {r_.choice->nodes, ""});
    if (r_.tasks > 0 && r_.nodes_min > 1 && r_.choice->nodes.empty())
      Add(Cat("with its ", r_.tasks, " tasks on any number of nodes instead of ", r_.nodes_min),
          [](Resources& to) { to.nodes_min = to.nodes_max = 0; });
    AddConstraint();
    AddPartitions();
    AddGpuTypes();
    AddWithout("licence", &Resources::licences);
    AddWithout("--gres=", &Resources::gres);
    if (!r_.reservation.empty())
      Add(Cat("outside of reservation ", r_.reservation), [](Resources& to) { to.reservation.clear(); });
    return std::move(all_);
  }

 private:
  template <class Do>
  void Add(std::string what, Do change) {
    all_.push_back({std::move(what), r_, asked_.time_limit_s});
    change(all_.back().resources);
  }
  void AddChoice(std::string what, NodeChoice choice) {
    Add(std::move(what), [&](Resources& to) { to.choice.Set(std::move(choice)); });
  }
  bool WholeNodesOnly(std::string_view partitions) const {
    return std::ranges::any_of(site_.PartitionsOf(partitions), &Partition::exclusive);
  }

  void AddConstraint() {
    if (r_.constraint.empty()) return;
    const std::vector<std::string_view> terms = TermsOf(r_.constraint);
    for (std::size_t left_out = 0; left_out < std::min(terms.size(), kChangesOfAKindMax); ++left_out) {
      std::string rest;
      for (std::size_t i = 0; i < terms.size(); ++i) {
        if (i != left_out) rest += Cat(rest.empty() ? "" : "&", terms[i]);
      }
      Add(Cat("without ", terms[left_out], " in --constraint"), [&](Resources& to) { to.constraint = rest; });
    }
    Add(Cat("without --constraint=", r_.constraint), [](Resources& to) { to.constraint.clear(); });
  }

  void AddPartitions() {
    const std::vector<const Partition*> own = site_.PartitionsOf(r_.partition);
    std::size_t tried = 0;
    for (const Partition& other : site_.partitions) {
      if (std::ranges::find(own, &other) != own.end() || other.state != PartitionState::kUp) continue;
      if (++tried > kChangesOfAKindMax) return;
      Add(Cat("in partition ", other.name, " instead of ", r_.partition), [&](Resources& to) {
        to.partition = other.name;
        to.exclusive = to.exclusive || other.exclusive;
      });
    }
  }

  void AddGpuTypes() {
    if (r_.gpu_type.empty()) return;  // any of them is its wish
    std::size_t tried = 0;
    for (const std::string& kind : site_.GresKinds()) {
      if (!kind.starts_with("gpu:") || kind.substr(4) == r_.gpu_type) continue;
      if (++tried > kChangesOfAKindMax) return;
      Add(Cat("with GPUs of type ", kind.substr(4), " instead of ", r_.gpu_type),
          [&](Resources& to) { to.gpu_type = kind.substr(4); });
    }
  }

  void AddWithout(std::string_view what, std::vector<Amount> Resources::*amounts) {
    const std::size_t count = std::min((r_.*amounts).size(), kChangesOfAKindMax);
    for (std::size_t i = 0; i < count; ++i)
      Add(Cat("without ", what, what.ends_with('=') ? "" : " ", (r_.*amounts)[i].name), [&](Resources& to) {
        (to.*amounts).erase((to.*amounts).begin() + static_cast<std::ptrdiff_t>(i));
      });
  }

  const Site& site_;
  const RequestChange& asked_;
  const Resources& r_;
  std::vector<RequestChange> all_;
};

}  // namespace

std::string Plural(std::uint64_t n, std::string_view what) { return Cat(n, ' ', what, n == 1 ? "" : "s"); }

std::vector<LesserAmounts> LesserAmountsOf(const RequestChange& asked, const JobSpec& spec) {
  std::vector<LesserAmounts> all;
  const Resources& r = asked.resources;
  AddTime(asked, spec, all);
  AddMemory(asked, all);
  if (r.nodes_min < 2) AddCount(asked, &Resources::tasks, "task", "", all);
  if (r.tasks == 0) AddCount(asked, &Resources::tasks_per_node, "task", " per node", all);
  AddCount(asked, &Resources::cores_per_task, "core", " per task", all);
  AddCount(asked, &Resources::gpus_per_node, "GPU", " per node", all);
  AddCount(asked, &Resources::gpus_per_task, "GPU", " per task", all);
  AddNodes(asked, all);
  std::erase_if(all, [](const LesserAmounts& one) { return one.least >= one.asked; });
  return all;
}

std::vector<RequestChange> OtherWishesOf(const Site& site, const RequestChange& asked) {
  return Wishes(site, asked).All();
}

}  // namespace slipway::scheduler
