// SPDX-License-Identifier: Apache-2.0
// The books: what is free, and the indexes over it.
#include "scheduler/plan/cluster.h"

#include <algorithm>
#include <utility>

#include "base/result/result.h"

namespace slipway::plan {

NodeNumber Cluster::AddNode(const Vec& total) {
  auto node = static_cast<NodeNumber>(total_.size());
  total_.push_back(total);
  free_.push_back(total);
  lines_.emplace_back(total);
  holds_.emplace_back();
  next_view_.push_back(node);
  thresholds_.AddNode(total);
  for (NodeBits& set : sets_) set.Resize(total_.size(), false);
  sets_[0].Set(node);
  for (NodeBits* bits : {&usable_, &awaited_, &none_, &fit_, &sure_, &maybe_, &base_})
    bits->Resize(total_.size(), false);
  usable_.Set(node);
  held_stale_ = true;
  ++version_;
  return node;
}

NodeNumber Cluster::AddView(NodeNumber of) {
  NodeNumber view = AddNode(Vec(total_[of]));
  sets_[0].Clear(view);
  next_view_[view] = std::exchange(next_view_[of], view);
  if (!topology_.flat()) {
    topology_.position.push_back(topology_.position[of]);
    topology_.leaf.push_back(topology_.leaf[of]);
  }
  usable_.Put(view, usable_.Has(of));
  awaited_.Put(view, awaited_.Has(of));
  lines_[view] = lines_[of];
  holds_[view] = holds_[of];
  Changed(view);
  std::vector<Instant> times;
  lines_[view].AppendChanges(now_, times);
  for (Instant time : times) changes_.emplace(time, view);
  return view;
}

void Cluster::RemoveView(NodeNumber view) {
  NodeNumber before = view;
  while (next_view_[before] != view) before = next_view_[before];
  next_view_[before] = std::exchange(next_view_[view], view);
  usable_.Clear(view);
  awaited_.Clear(view);
  for (NodeBits& set : sets_) set.Clear(view);
  lines_[view] = Timeline(total_[view]);
  holds_[view].clear();
  Changed(view);
  held_stale_ = true;
  ++version_;
}

void Cluster::SetTotal(NodeNumber node, const Vec& total) {
  Vec more = total - total_[node];
  if (more.empty()) return;
  total_[node] = total;
  ++version_;
  lines_[node].Give(more, 0, kNever);
  Changed(node);
}

void Cluster::SetUsable(NodeNumber node, bool usable) {
  usable_.Put(node, usable);
  ++version_;
}

std::uint32_t Cluster::AddSet(NodeBits nodes) {
  nodes.Resize(total_.size(), false);
  sets_.push_back(std::move(nodes));
  return static_cast<std::uint32_t>(sets_.size() - 1);
}

std::uint32_t Cluster::AddPattern(Pattern pattern) {
  CHECK(pattern.counts.size() <= kCountsMax);
  auto known = std::ranges::find(patterns_, pattern);
  if (known != patterns_.end()) return static_cast<std::uint32_t>(known - patterns_.begin());
  patterns_.push_back(std::move(pattern));
  return static_cast<std::uint32_t>(patterns_.size() - 1);
}

void Cluster::SetLicences(const Vec& total) { licences_ = Timeline(total); }

void Cluster::Changed(NodeNumber node) {
  lines_[node].Advance(now_);
  Vec before = free_[node];
  const Vec& after = lines_[node].Now();
  if (before == after) return;
  free_[node] = after;
  thresholds_.Update(node, before, after);
}

// What was taken and given back leaves times at which nothing happens any more.
void Cluster::CollectChanges() {
  constexpr std::size_t kFew = 1 << 16;
  if (changes_.size() < std::max(kFew, 2 * changes_kept_)) return;
  std::vector<Change> changes;
  std::vector<Instant> times;
  for (NodeNumber node = 0; node < lines_.size(); ++node) {
    times.clear();
    lines_[node].AppendChanges(now_, times);
    for (Instant time : times) changes.emplace_back(time, node);
  }
  changes_kept_ = changes.size();
  changes_ = decltype(changes_)(std::greater<>(), std::move(changes));
}

void Cluster::Note(NodeNumber node, Instant from, Instant to) {
  CollectChanges();
  if (from > now_) changes_.emplace(from, node);
  if (to > now_ && to < kNever) changes_.emplace(to, node);
  Changed(node);
}

void Cluster::Take(NodeNumber node, const Vec& what, Instant from, Instant to, Use use) {
  if (to <= from) return;
  lines_[node].Take(what, from, to);
  if (use == Use::kHold) AddHold(node, from);
  Note(node, from, to);
}

void Cluster::Give(NodeNumber node, const Vec& what, Instant from, Instant to, Use use) {
  if (use == Use::kHold && to > from) RemoveHold(node, from);
  lines_[node].Give(what, std::max(from, now_), to);
  Note(node, from, to);
}

void Cluster::TakeLicences(const Vec& what, Instant from, Instant to, Use use) {
  if (what.empty() || to <= from) return;
  licences_.Take(what, from, to);
  licences_.Advance(now_);
  if (use == Use::kHold) ++licences_.holds;
}

void Cluster::GiveLicences(const Vec& what, Instant from, Instant to, Use use) {
  if (what.empty() || to <= from) return;
  licences_.Give(what, std::max(from, now_), to);
  if (use == Use::kHold) --licences_.holds;
}

bool Cluster::Advance(Instant now) {
  bool grown = false;
  now_ = std::max(now_, now);
  licences_.Advance(now_);
  while (!changes_.empty() && changes_.top().first <= now_) {
    NodeNumber node = changes_.top().second;
    changes_.pop();
    Vec before = free_[node];
    Changed(node);
    grown = grown || !before.Holds(free_[node]);
  }
  return grown;
}

void Cluster::AddHold(NodeNumber node, Instant from) {
  std::vector<Instant>& holds = holds_[node];
  holds.insert(std::ranges::upper_bound(holds, from), from);
  ++lines_[node].holds;
  if (held_stale_) return;
  auto bucket = std::ranges::upper_bound(held_, from, {}, &HeldSet::start);
  if (bucket == held_.begin()) {
    bucket = held_.insert(bucket, {from, NodeBits(total_.size())});
  } else {
    --bucket;
  }
  for (; bucket != held_.end(); ++bucket) bucket->nodes.Set(node);
}

void Cluster::RemoveHold(NodeNumber node, Instant from) {
  constexpr std::size_t kSlackMax = 1024;
  std::vector<Instant>& holds = holds_[node];
  auto found = std::ranges::lower_bound(holds, from);
  CHECK(found != holds.end() && *found == from);
  holds.erase(found);
  --lines_[node].holds;
  if (++held_slack_ > kSlackMax) held_stale_ = true;
}

void Cluster::RebuildHeld() {
  constexpr std::size_t kSetsMax = 64;
  held_stale_ = false;
  held_slack_ = 0;
  held_.clear();
  std::vector<Change> firsts;
  for (NodeNumber node = 0; node < holds_.size(); ++node) {
    if (!holds_[node].empty()) firsts.emplace_back(std::max(holds_[node].front(), now_), node);
  }
  std::ranges::sort(firsts);
  std::size_t per_set = firsts.size() / kSetsMax + 1;
  NodeBits nodes(total_.size());
  for (std::size_t i = 0; i < firsts.size();) {
    Instant start = firsts[i].first;  // what begins a little later counts as well
    std::size_t begin = i;
    for (; i < firsts.size() && (i < begin + per_set || firsts[i].first == firsts[i - 1].first); ++i)
      nodes.Set(firsts[i].second);
    held_.push_back({start, nodes});
  }
}

const NodeBits& Cluster::HeldBefore(Instant end) {
  if (held_stale_ || held_.size() > 256) RebuildHeld();
  auto after = std::ranges::lower_bound(held_, end, {}, &HeldSet::start);
  return after == held_.begin() ? none_ : std::prev(after)->nodes;
}

}  // namespace slipway::plan
