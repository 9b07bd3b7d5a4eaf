// SPDX-License-Identifier: Apache-2.0
// The first policy: take the queue in order, start what fits, skip what does not.
#include <map>

#include "scheduler/core/placement.h"
#include "scheduler/core/policy.h"

namespace slipway::scheduler {
namespace {

constexpr std::uint32_t kPrefetchJobsMax =
    8;  // blocked jobs at the head of the queue whose images are fetched ahead

class Pass {
 public:
  Pass(const State& state, Time now) : state_(state), now_(now), free_(FreeNodes(state)) {}

  Plan Run() {
    for (const PendingKey& key : state_.pending) Consider(*state_.FindJob(key.job));
    return std::move(plan_);
  }

 private:
  void Consider(const Job& job) {
    if (job.spec->begin > now_) {
      plan_.next = std::min(plan_.next, job.spec->begin);
      return Wait(job, PendingReason::kBeginTime);
    }
    if (AtArrayLimit(job)) return Wait(job, PendingReason::kArrayLimit);
    auto blocked = blocked_.find(job.spec->resources);
    if (blocked != blocked_.end()) return Wait(job, blocked->second);
    auto allocation = Place(job.spec->resources, free_);
    if (!allocation) return Block(job);
    Take(*allocation, free_);
    if (job.array.value != 0) ++array_starts_[job.array];
    plan_.starts.push_back({job.id, job.attempt + 1, std::move(*allocation)});
  }

  bool AtArrayLimit(const Job& job) const {
    auto array = state_.arrays.find(job.array);
    if (array == state_.arrays.end()) return false;
    std::uint32_t bound = array->second.spec->array->max_running;
    auto started = array_starts_.find(job.array);
    return bound > 0 &&
           array->second.running + (started == array_starts_.end() ? 0 : started->second) >= bound;
  }

  void Wait(const Job& job, PendingReason reason) { plan_.reasons.emplace_back(job.id, reason); }

  void Block(const Job& job) {
    if (usable_.empty()) {
      for (FreeNode& node : EmptyNodes(state_)) {
        if (node.node->usable()) usable_.push_back(std::move(node));
      }
    }
    auto later = Place(job.spec->resources, usable_);
    PendingReason again = later ? PendingReason::kPriority : PendingReason::kNodesUnavailable;
    Wait(job, later && blocked_.empty() ? PendingReason::kResources : again);
    blocked_.emplace(job.spec->resources, again);
    const std::string& digest = job.spec->command.image.digest;
    if (!later || digest.empty() || prefetched_ == kPrefetchJobsMax) return;
    ++prefetched_;
    for (const NodeAllocation& held : *later) {
      if (state_.FindNode(held.node)->images.count(digest) == 0)
        plan_.prefetch.push_back({held.node, digest});
    }
  }

  const State& state_;
  Time now_;
  std::vector<FreeNode> free_, usable_;
  std::map<Resources, PendingReason>
      blocked_;  // shapes that did not fit; what the next job of that shape is told
  std::map<JobId, std::uint32_t> array_starts_;
  std::uint32_t prefetched_ = 0;
  Plan plan_;
};

class FirstFit final : public Policy {
 public:
  std::string_view name() const override { return "first-fit"; }
  Plan Decide(const State& state, Time now) override {
    if (state.pending.empty()) return {};
    return Pass(state, now).Run();
  }
};

}  // namespace

std::unique_ptr<Policy> MakeFirstFitPolicy() { return std::make_unique<FirstFit>(); }

Plan Decide(const State& state, Time now) { return FirstFit().Decide(state, now); }

std::string_view PendingReasonName(PendingReason reason) {
  switch (reason) {
    case PendingReason::kNone:
      return "";
    case PendingReason::kResources:
      return "resources";
    case PendingReason::kPriority:
      return "priority";
    case PendingReason::kBeginTime:
      return "begin-time";
    case PendingReason::kArrayLimit:
      return "array-limit";
    case PendingReason::kNodesUnavailable:
      return "nodes-unavailable";
  }
  return "?";
}

std::string_view PendingReasonText(PendingReason reason) {
  switch (reason) {
    case PendingReason::kNone:
      return "";
    case PendingReason::kResources:
      return "next in line; waits until enough nodes, cores or memory are free";
    case PendingReason::kPriority:
      return "waits for resources; other jobs are ahead of it";
    case PendingReason::kBeginTime:
      return "its begin time has not come";
    case PendingReason::kArrayLimit:
      return "as many tasks of its array run as it allows";
    case PendingReason::kNodesUnavailable:
      return "nodes that it needs are drained, down or silent";
  }
  return "?";
}

}  // namespace slipway::scheduler
