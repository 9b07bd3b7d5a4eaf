// SPDX-License-Identifier: Apache-2.0
// The jobs of a silent node wait until somebody knows that it is dead. A program of the site can make sure of
// that: it cuts the power and says so (hooks.fence). About which node it is asked, and when, is decided here.
// To cut the power of what is alive is worse than to wait, so whatever is in doubt speaks against it:
//
//  - Only a node that holds jobs is fenced: nobody waits for another.
//  - Not one that an administrator has drained: he may be working on it.
//  - None while too large a share of the cluster is silent: then it is more likely our network than all of
//    them. Nodes that were fenced within the hour and are not back count as silent, so that a failure that
//    creeps through the cluster does not switch it off piece by piece.
//  - Silence counts from when the others could be heard: after our start, after such an outage, and after a
//    time in which we did not listen (a stopped process) each node has the whole of `after` to come back.
//
// An answer is about the silence in which the question was asked. A node that has registered since is not
// dead, whatever the program says, since it is not known which of both was first.
//
// Pure: no clock, no processes. Kept in memory only: a new slipwayd asks anew.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/loop/loop.h"
#include "scheduler/core/state.h"

namespace slipway::scheduler {

struct FenceRules {
  std::string program;  // an absolute path; empty: nothing is fenced
  Duration after = std::chrono::minutes(5);
  Duration deadline = std::chrono::minutes(2);
  Duration retry =
      std::chrono::minutes(1);   // after the first failure; doubled with each up to kFenceRetryMax
  std::uint32_t share_max = 20;  // percent of the nodes; 100: any number
};
inline constexpr Duration kFenceRetryMax = std::chrono::hours(1);
inline constexpr std::size_t kFencesAtOnce = 16;

// A node at one moment. `node` is borrowed.
struct HeardNode {
  std::string_view node;
  NodeState state = NodeState::kUnknown;
  std::uint64_t session = 0;  // its last; 0: none since our start
  MonotonicTime heard;        // last; or our start
  bool holds_jobs = false;
  bool drained = false;
  bool drained_by_admin = false;  // not by its own health
};

class FencePlan {
 public:
  explicit FencePlan(FenceRules rules) : rules_(std::move(rules)) {}
  const FenceRules& rules() const { return rules_; }

  struct Question {
    std::string node;
    std::uint32_t attempt = 1;  // of this silence
    Duration silent{};
  };
  struct Orders {
    std::vector<Question> ask;
    std::vector<std::string> call_off;  // nodes that have come back, or need no fence any more
    bool deaf = false;                  // too many are silent
    std::size_t silent = 0, of = 0;     // nodes that count
  };
  // Once in a while, some times within `after`. `nodes`: all, in the order of their names.
  Orders Look(const std::vector<HeardNode>& nodes, MonotonicTime now);

  enum class Verdict : std::uint8_t { kDead, kNot, kMoot };
  // A program that was asked has ended, called off or not. `dead`: the node is, for sure; else `why` not.
  // `there`: the node as it is now.
  Verdict Answered(const HeardNode& there, bool dead, std::string why, MonotonicTime now);

  // What becomes of a silent node with jobs, in words for users. Empty: nothing is to be said of it.
  std::string TextOf(const HeardNode& node, MonotonicTime now) const;
  // Until it is asked again; of a node about which it has failed.
  Duration AgainIn(std::string_view node, MonotonicTime now) const;

 private:
  struct Record {
    std::uint64_t session = 0;  // with `heard` the silence that it is about
    MonotonicTime heard;
    std::uint32_t attempts = 0;
    bool running = false, called_off = false;
    MonotonicTime next;  // not before
    std::string why;     // it failed last
  };
  static bool Same(const Record& record, const HeardNode& node);
  bool MayBeFenced(const HeardNode& node) const;
  void Count(const std::vector<HeardNode>& nodes, MonotonicTime now, Orders& orders);
  void DropOldSilences(const std::vector<HeardNode>& nodes, Orders& orders);
  MonotonicTime DueAt(const HeardNode& node) const;

  FenceRules rules_;
  std::map<std::string, Record, std::less<>> records_;
  std::map<std::string, MonotonicTime, std::less<>> fenced_;  // by us, and not back
  std::optional<MonotonicTime> listening_since_;              // not there: too many are silent
  std::optional<MonotonicTime> looked_;
  std::size_t silent_ = 0, of_ = 0;
};

}  // namespace slipway::scheduler
