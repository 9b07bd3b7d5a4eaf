// SPDX-License-Identifier: Apache-2.0
// The nodes as the planner keeps them: what each has free now and later, and the indexes that answer "where
// does this fit" without looking at every node. Knows nothing of queues. Single-threaded; every answer is a
// function of the calls before it.
#pragma once

#include <optional>
#include <queue>
#include <span>
#include <utility>
#include <vector>

#include "scheduler/plan/node_bits.h"
#include "scheduler/plan/pattern.h"
#include "scheduler/plan/request.h"
#include "scheduler/plan/thresholds.h"
#include "scheduler/plan/timeline.h"
#include "scheduler/plan/topology.h"
#include "scheduler/plan/vec.h"

namespace slipway::plan {

// Where and when a job would start.
struct Planned {
  Instant start = kNever;
  Placement nodes;
};

enum class Use : std::uint8_t { kRunning, kHold };  // kHold: planned jobs, reservations

class Cluster {
 public:
  // Nodes are numbered in the order in which they are preferred.
  NodeNumber AddNode(const Vec& total);
  // Another view of the same machine, in no set until it is put into one: with a time line of its own, on
  // which a reservation's jobs find room while it has none for others, and the other way round. What a job
  // takes it takes of every view. It begins with what is taken of `of`: nothing may be held there for one
  // view alone.
  NodeNumber AddView(NodeNumber of);
  // Nobody asks for it any more, and no job has it in its placement. The number is not given again.
  void RemoveView(NodeNumber view);
  template <class See>
  void EachView(NodeNumber node, See see) const {
    NodeNumber at = node;
    do {
      see(at);
      at = next_view_[at];
    } while (at != node);
  }
  bool SameMachine(NodeNumber a, NodeNumber b) const {
    bool same = false;
    EachView(a, [&](NodeNumber view) { same = same || view == b; });
    return same;
  }
  void SetTotal(NodeNumber node, const Vec& total);
  const Vec& Total(NodeNumber node) const { return total_[node]; }
  void SetUsable(NodeNumber node, bool usable);  // drained, down, silent: nothing starts there
  bool Usable(NodeNumber node) const { return usable_.Has(node); }
  // Not usable, but expected to be soon: what is planned there already stays.
  void SetAwaited(NodeNumber node, bool awaited) { awaited_.Put(node, awaited); }
  bool Awaited(NodeNumber node) const { return awaited_.Has(node); }
  std::size_t size() const { return total_.size(); }
  std::uint64_t version() const { return version_; }  // grows when nodes come, go or change

  // Sets of nodes that requests name. 0 is the set of all.
  std::uint32_t AddSet(NodeBits nodes);
  void PutInSet(std::uint32_t set, NodeNumber node, bool in) { sets_[set].Put(node, in); }
  const NodeBits& SetOf(std::uint32_t set) const { return sets_[set]; }
  // What was named for a while: sets and patterns that were added since (there were as many then) are gone.
  struct Named {
    std::size_t sets = 0, patterns = 0;
  };
  Named named() const { return {sets_.size(), patterns_.size()}; }
  void ForgetNamedSince(const Named& then) {
    sets_.resize(then.sets);
    patterns_.resize(then.patterns);
  }
  // Of the cluster of which this one is a copy: those that were added to it since.
  void TakeSetsOf(const Cluster& from) {
    sets_.insert(sets_.end(), from.sets_.begin() + static_cast<std::ptrdiff_t>(sets_.size()),
                 from.sets_.end());
    patterns_.insert(patterns_.end(), from.patterns_.begin() + static_cast<std::ptrdiff_t>(patterns_.size()),
                     from.patterns_.end());
  }

  // Of the nodes that there are, and of no view yet.
  void SetTopology(Topology topology) { topology_ = std::move(topology); }
  const Topology& topology() const { return topology_; }

  std::uint32_t AddPattern(Pattern pattern);
  const Pattern& PatternOf(std::uint32_t number) const { return patterns_[number]; }

  void SetLicences(const Vec& total);
  const Timeline& licences() const { return licences_; }

  // What is free there all of the time.
  Vec RoomOver(NodeNumber node, Instant from, Instant to) const { return lines_[node].LeastOver(from, to); }
  void Take(NodeNumber node, const Vec& what, Instant from, Instant to, Use use);
  void Give(NodeNumber node, const Vec& what, Instant from, Instant to, Use use);
  void TakeLicences(const Vec& what, Instant from, Instant to, Use use);
  void GiveLicences(const Vec& what, Instant from, Instant to, Use use);
  // The time is `now`; it never runs backwards. True when something became free by that (a reservation is
  // over).
  bool Advance(Instant now);
  Instant now() const { return now_; }

  // A hint: this request will be asked about often. Which nodes are taken of those that fit depends on the
  // hints that came before; ForgetHints makes that a matter of the books and of the hints from here on alone.
  void ForgetHints() {
    thresholds_ = Thresholds();
    held_stale_ = true;
  }
  void Learn(const Request& request) { thresholds_.Learn(request.node + request.task, free_); }

  // Whether the request fits from now on for `length`, beside everything that is planned.
  bool FitsNow(const Request& request, Instant length);
  // How many nodes (of a request with tasks: how many tasks) fit so.
  std::size_t CountFit(const Request& request, Instant length);
  // The same, and where: nodes in `prefer` (null: none) first, then by number.
  std::optional<Placement> PlaceNow(const Request& request, Instant length, const NodeBits* prefer);
  // Whether PlaceNow would find a place if what is planned for this very request were not in its way.
  bool FitsNowWithout(const Request& request, Instant length, const Planned& own);
  // Of a request without `tasks` that PlaceNow or FitsNow has just refused: how many nodes there were
  // at most.
  std::size_t last_count() const { return last_count_; }

  // From here on PlaceNow's choice depends on which nodes fit and on nothing else; it need not stop at the
  // first that suffice, and those on which nothing is held for later do not come first.
  void LookAtAll() { looks_at_all_ = true; }
  // Whether a node that has changed could take part in it now, as far as its free resources go.
  bool CouldUse(const Request& request, NodeNumber node) const {
    return sets_[request.where].Has(node) && usable_.Has(node) &&
           free_[node].Holds(request.tasks == 0 ? request.node : request.node + request.task);
  }
  // The earliest time for it, and the nodes: of those that could be used then, the ones that become free
  // last. start == kNever when it never fits. Exact for requests without `tasks`, and for those with as long
  // as nothing is planned.
  Planned Earliest(const Request& request, Instant length);
  // Whether it could ever run, were the whole cluster its own and all nodes usable (`usable_only`: those that
  // are).
  bool CouldRun(const Request& request, bool usable_only);

  const Timeline& Line(NodeNumber node) const { return lines_[node]; }
  const Vec& Free(NodeNumber node) const { return free_[node]; }

 private:
  void Changed(NodeNumber node);
  void CollectChanges();
  void Note(NodeNumber node, Instant from, Instant to);
  void AddHold(NodeNumber node, Instant from);
  void RemoveHold(NodeNumber node, Instant from);
  // Nodes of which something is planned away before `end`.
  const NodeBits& HeldBefore(Instant end);
  void RebuildHeld();
  // Puts the nodes that fit `need` over [now, end) into fit_, all that need no close look and as many others
  // as are wanted; returns how many.
  std::size_t CollectFit(const Request& request, const Vec& need, Instant end, std::size_t wanted);
  bool LicencesFit(const Request& request, Instant length) const;
  bool SurelyCould(const Request& request, bool usable_only) const;
  std::vector<std::uint32_t> Capacities(const Request& request, Instant from, Instant length);
  std::vector<NodeNumber> InOrder(const NodeBits& nodes, const NodeBits* prefer) const;
  // The tasks over nodes that could take so many each. Of those between which ChooseCounts would not
  // distinguish, those in `prefer` (null: none).
  std::optional<Placement> SpreadOver(const Request& request, const std::vector<std::uint32_t>& capacity,
                                      const NodeBits* prefer) const;
  std::optional<Placement> SpreadTasks(const Request& request, Instant from, Instant length,
                                       const NodeBits* prefer);
  std::optional<Placement> ChooseFixed(const Request& request, std::size_t count,
                                       const NodeBits* prefer) const;
  Planned EarliestFixed(const Request& request, Instant length);
  Planned EarliestCounted(const Request& request, Instant length);
  // In each node of base_ that is large enough: since when it could be used.
  void CollectEarliest(const Request& request, Instant length);
  bool CollectCounted(const Request& request, Instant start, Instant length);
  std::optional<Placement> PlaceNear(const Request& request, const NodeBits& able, std::size_t count,
                                     const NodeBits* prefer) const;
  std::optional<Placement> PlaceCounted(const Request& request, std::span<const NodeNumber> in_order) const;
  std::vector<const NodeBits*> SetsOf(const Pattern& pattern) const;
  template <class Try>
  auto FirstOf(const Request& request, Try attempt);
  Planned EarliestSpread(const Request& request, Instant length);

  std::vector<Vec> total_, free_;  // by node; free_: now
  std::vector<Timeline> lines_;
  std::vector<NodeNumber> next_view_;  // by node: a ring
  NodeBits usable_, awaited_;
  std::vector<NodeBits> sets_{NodeBits()};
  std::vector<Pattern> patterns_{{}};
  Topology topology_;
  Timeline licences_;
  Thresholds thresholds_;
  Instant now_ = 0;
  std::size_t last_count_ = 0;
  bool looks_at_all_ = false;
  std::uint64_t version_ = 1;
  using Change = std::pair<Instant, NodeNumber>;
  std::priority_queue<Change, std::vector<Change>, std::greater<>>
      changes_;                   // when free_ has to be looked at
  std::size_t changes_kept_ = 0;  // when they were collected last

  std::vector<std::vector<Instant>> holds_;  // by node: their starts, ascending
  struct HeldSet {
    Instant start;  // nodes whose first hold begins at `start` or before
    NodeBits nodes;
  };
  // Ascending. A set may have more nodes than are held: they are looked at closely then. Made anew when
  // stale.
  std::vector<HeldSet> held_;
  std::size_t held_slack_ = 0;
  bool held_stale_ = true;
  NodeBits none_, fit_, sure_, maybe_, base_;                     // scratch
  std::vector<std::pair<Instant, NodeNumber>> earliest_, again_;  // scratch
};

}  // namespace slipway::plan
