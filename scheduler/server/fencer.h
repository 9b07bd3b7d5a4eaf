// SPDX-License-Identifier: Apache-2.0
// Runs the site's fence program on what FencePlan decides, and says what became of it: the node is declared
// dead as by `slipway node fenced`, or stays as it is and the program is asked again later.
//
// The program: PROGRAM NODE, with one JSON object on its standard input (QuestionText); exit code 0 means
// that nothing can run on the node any more, for sure. Anything else means nothing.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/config/config.h"
#include "base/loop/loop.h"
#include "scheduler/server/fence_plan.h"
#include "scheduler/server/site_program.h"

namespace slipway::scheduler {

// kInvalidArgument: a program that has no absolute path, or a time in which an outage of the whole network
// would not show yet.
Result<FenceRules> FenceRulesOf(const Config& config);

// What the program is told of a node.
std::string QuestionText(const FencePlan::Question& question, const State& state, const std::string& cluster);

// Loop's thread only; the programs run on threads of their own.
class Fencer {
 public:
  struct World {
    std::function<std::vector<HeardNode>()> hear;  // all nodes, in the order of their names
    std::function<std::string(const FencePlan::Question&)> question;
    std::function<void(const std::string& node, const std::string& reason)> declare_dead;
  };
  Fencer(Loop& loop, FenceRules rules, World world);
  ~Fencer();  // ends what runs, and waits for its end

  void Look();  // every now and then
  std::string TextOf(const HeardNode& node) const { return plan_.TextOf(node, loop_.Now()); }

 private:
  struct Slot;
  void Ask(const FencePlan::Question& question);
  void Answered(Slot& slot, const Result<SiteProgramEnd>& end);
  Slot& FreeSlot();

  Loop& loop_;
  FencePlan plan_;
  World world_;
  bool deaf_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  std::vector<std::unique_ptr<Slot>> slots_;  // last: what they run is ended first
};

}  // namespace slipway::scheduler
