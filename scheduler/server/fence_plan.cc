// SPDX-License-Identifier: Apache-2.0
#include "scheduler/server/fence_plan.h"

#include <algorithm>

namespace slipway::scheduler {
namespace {

constexpr Duration kRemembered = std::chrono::hours(1);
constexpr Duration kDistracted = std::chrono::seconds(10);  // who did not look for so long did not listen

std::int64_t Seconds(Duration time) { return std::chrono::ceil<std::chrono::seconds>(time).count(); }

const HeardNode* Find(const std::vector<HeardNode>& nodes, std::string_view name) {
  auto at = std::ranges::lower_bound(nodes, name, {}, &HeardNode::node);
  return at == nodes.end() || at->node != name ? nullptr : &*at;
}

// Of a node that was drained and emptied nobody expects a word.
bool IsMissed(const HeardNode& node) {
  return node.state == NodeState::kUnknown && (node.holds_jobs || !node.drained);
}

}  // namespace

bool FencePlan::Same(const Record& record, const HeardNode& node) {
  return node.state == NodeState::kUnknown && record.session == node.session && record.heard == node.heard;
}

bool FencePlan::MayBeFenced(const HeardNode& node) const {
  return node.state == NodeState::kUnknown && node.holds_jobs && !node.drained_by_admin;
}

void FencePlan::Count(const std::vector<HeardNode>& nodes, MonotonicTime now, Orders& orders) {
  std::size_t heard = 0, missed = 0;
  for (const HeardNode& node : nodes) {
    heard += node.state == NodeState::kUp;
    missed += IsMissed(node);
  }
  std::erase_if(fenced_, [&](const auto& entry) {
    const HeardNode* node = Find(nodes, entry.first);
    return node == nullptr || node->state != NodeState::kDown || now - entry.second >= kRemembered;
  });
  orders.silent = missed + fenced_.size();
  orders.of = orders.silent + heard;
  // One may always be missing, where another is heard.
  std::size_t allowed = std::max<std::size_t>(1, orders.of * rules_.share_max / 100);
  orders.deaf = rules_.share_max < 100 && missed > 0 && (heard == 0 || orders.silent > allowed);
}

void FencePlan::DropOldSilences(const std::vector<HeardNode>& nodes, Orders& orders) {
  for (auto at = records_.begin(); at != records_.end();) {
    auto& [name, record] = *at;
    const HeardNode* node = Find(nodes, name);
    bool goes_on = node != nullptr && Same(record, *node) && !node->drained_by_admin;
    if (goes_on || record.running) {
      if (!goes_on && !std::exchange(record.called_off, true)) orders.call_off.push_back(name);
      ++at;
    } else {
      at = records_.erase(at);
    }
  }
}

MonotonicTime FencePlan::DueAt(const HeardNode& node) const {
  return std::max(node.heard, *listening_since_) + rules_.after;
}

FencePlan::Orders FencePlan::Look(const std::vector<HeardNode>& nodes, MonotonicTime now) {
  Orders orders;
  Count(nodes, now, orders);
  silent_ = orders.silent;
  of_ = orders.of;
  DropOldSilences(nodes, orders);
  if (orders.deaf || (looked_ && now - *looked_ > kDistracted)) listening_since_.reset();
  looked_ = now;
  if (orders.deaf) return orders;
  if (!listening_since_) listening_since_ = now;
  std::vector<const HeardNode*> due;
  for (const HeardNode& node : nodes) {
    if (!MayBeFenced(node) || now < DueAt(node)) continue;
    auto record = records_.find(node.node);
    if (record == records_.end() || (!record->second.running && now >= record->second.next))
      due.push_back(&node);
  }
  std::ranges::stable_sort(due, {}, &HeardNode::heard);  // the longest silence first
  auto running = static_cast<std::size_t>(
      std::ranges::count_if(records_, [](const auto& entry) { return entry.second.running; }));
  for (const HeardNode* node : due) {
    if (running++ >= kFencesAtOnce) break;
    Record& record = records_[std::string(node->node)];
    record.session = node->session;
    record.heard = node->heard;
    record.running = true;
    orders.ask.push_back({std::string(node->node), ++record.attempts, now - node->heard});
  }
  return orders;
}

FencePlan::Verdict FencePlan::Answered(const HeardNode& there, bool dead, std::string why,
                                       MonotonicTime now) {
  auto at = records_.find(there.node);
  if (at == records_.end()) return Verdict::kMoot;
  Record& record = at->second;
  if (!Same(record, there) || (record.called_off && !dead)) {
    records_.erase(at);
    return Verdict::kMoot;
  }
  if (dead) {
    fenced_[std::string(there.node)] = now;
    records_.erase(at);
    return Verdict::kDead;
  }
  Duration wait = rules_.retry;
  for (std::uint32_t i = 1; i < record.attempts && wait < kFenceRetryMax; ++i) wait *= 2;
  record.running = false;
  record.next = now + std::min(wait, std::max(rules_.retry, kFenceRetryMax));
  record.why = std::move(why);
  return Verdict::kNot;
}

Duration FencePlan::AgainIn(std::string_view node, MonotonicTime now) const {
  auto at = records_.find(node);
  return at == records_.end() ? Duration(0) : std::max(at->second.next - now, Duration(0));
}

std::string FencePlan::TextOf(const HeardNode& node, MonotonicTime now) const {
  if (node.state != NodeState::kUnknown || !node.holds_jobs) return {};
  auto at = records_.find(node.node);
  bool known = at != records_.end() && Same(at->second, node);
  if (known && at->second.running)
    return Cat("is being fenced by ", rules_.program, ", attempt ", at->second.attempts);
  if (node.drained_by_admin) return "is not fenced: it is drained, so somebody may be working on it";
  std::string failed = known ? Cat("could not be fenced (", at->second.why, ")") : std::string();
  if (!listening_since_) {
    return Cat(known ? failed + "; " : "", "is not fenced: ", silent_, " of ", of_,
               " nodes are silent or were just fenced (hooks.fence_share_max)");
  }
  Duration until = std::max(DueAt(node) - now, AgainIn(node.node, now));
  return Cat(known ? failed + ", tried again in " : "silent, fenced in ",
             std::max<std::int64_t>(Seconds(until), 0), " s");
}

}  // namespace slipway::scheduler
