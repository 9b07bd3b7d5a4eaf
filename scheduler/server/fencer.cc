// SPDX-License-Identifier: Apache-2.0
#include "scheduler/server/fencer.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/json/strict.h"
#include "base/log/log.h"
#include "base/os/fd.h"
#include "scheduler/server/worker.h"

namespace slipway::scheduler {
namespace {

std::chrono::seconds Whole(Duration time) { return std::chrono::ceil<std::chrono::seconds>(time); }

}  // namespace

Result<FenceRules> FenceRulesOf(const Config& config) {
  FenceRules rules{.program = config.String("hooks.fence"),
                   .after = config.Seconds("hooks.fence_after"),
                   .deadline = config.Seconds("hooks.fence_deadline"),
                   .retry = config.Seconds("hooks.fence_retry"),
                   .share_max = static_cast<std::uint32_t>(config.Integer("hooks.fence_share_max"))};
  if (rules.program.empty()) return rules;
  if (!rules.program.starts_with('/'))
    return Fail(Code::kInvalidArgument, "hooks.fence: '", rules.program, "' is no absolute path");
  // Who falls silent together is seen to be silent within a heartbeat of one another.
  Duration shown = config.Seconds("controller.node_lost_after") + 2 * config.Seconds("controller.heartbeat");
  if (rules.after < shown)
    return Fail(Code::kInvalidArgument, "hooks.fence_after (", Whole(rules.after).count(),
                " s) is shorter than controller.node_lost_after and two of controller.heartbeat together (",
                Whole(shown).count(), " s): a network that fails would not show before nodes are fenced");
  if (::access(rules.program.c_str(), X_OK) != 0)
    Log(Level::kWarn, "hooks.fence cannot be run at present: silent nodes will not be fenced",
        {{"program", rules.program}, {"reason", ErrnoErrorOf(errno, "access").message}});
  return rules;
}

std::string QuestionText(const FencePlan::Question& question, const State& state,
                         const std::string& cluster) {
  const Node* node = state.FindNode(question.node);
  Json json{{"node", question.node},
            {"cluster", cluster},
            {"silent_s", Whole(question.silent).count()},
            {"attempt", question.attempt}};
  if (node != nullptr) {
    json["address"] = node->address;
    json["boot_id"] = node->boot_id;
    json["drained"] = node->drained;
    json["reason"] = node->reason;
    json["jobs"] = Json::array();
    for (JobId job : node->jobs) json["jobs"].push_back(job.value);
  }
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

// A thread that runs one program after the other, and the bell that ends the one that runs.
struct Fencer::Slot {
  ~Slot() { Ring(); }
  void Ring() const {
    std::uint64_t one = 1;
    [[maybe_unused]] auto rung = ::write(bell.get(), &one, sizeof one);
  }
  std::string node;  // empty: free
  UniqueFd bell;
  Worker worker;  // last: it is waited for before the bell is gone
};

Fencer::Fencer(Loop& loop, FenceRules rules, World world)
    : loop_(loop), plan_(std::move(rules)), world_(std::move(world)) {}

Fencer::~Fencer() {
  *alive_ = false;
  for (auto& slot : slots_) slot->Ring();  // all, before the first is waited for
}

void Fencer::Look() {
  FencePlan::Orders orders = plan_.Look(world_.hear(), loop_.Now());
  if (orders.deaf != deaf_) {
    deaf_ = orders.deaf;
    Log(deaf_ ? Level::kWarn : Level::kInfo,
        deaf_ ? "too many nodes are silent or were just fenced: none is fenced; look at the controller's "
                "network"
              : "enough nodes are heard: those that stay silent are fenced in time",
        {{"silent", orders.silent}, {"of", orders.of}, {"share_max", plan_.rules().share_max}});
  }
  for (const std::string& node : orders.call_off) {
    Log(Level::kWarn, "the fence of a node is called off: it is back, drained or known to be dead",
        {{"node", node}});
    for (auto& slot : slots_) {
      if (slot->node == node) slot->Ring();
    }
  }
  for (const FencePlan::Question& question : orders.ask) Ask(question);
}

Fencer::Slot& Fencer::FreeSlot() {
  auto at = std::ranges::find_if(slots_, [](const auto& slot) { return slot->node.empty(); });
  if (at == slots_.end()) at = slots_.insert(slots_.end(), std::make_unique<Slot>());
  return **at;
}

void Fencer::Ask(const FencePlan::Question& question) {
  const FenceRules& rules = plan_.rules();
  Slot& slot = FreeSlot();
  slot.node = question.node;
  slot.bell = UniqueFd(::eventfd(0, EFD_CLOEXEC));
  Log(Level::kWarn, "fencing a silent node",
      {{"node", question.node},
       {"program", rules.program},
       {"silent_s", Whole(question.silent).count()},
       {"attempt", question.attempt}});
  slot.worker.Post([this, &slot, alive = alive_, input = world_.question(question), node = question.node,
                    program = rules.program, bell = slot.bell.get(), loop = &loop_,
                    deadline = std::chrono::duration_cast<std::chrono::milliseconds>(rules.deadline)] {
    auto end = RunSiteProgram({.argv = {program, node},
                               .input = input,
                               .deadline = deadline,
                               .output = SiteProgram::kWords,
                               .call_off_fd = bell});
    loop->Post([this, &slot, alive, end = std::move(end)] {
      if (*alive) Answered(slot, end);
    });
  });
}

void Fencer::Answered(Slot& slot, const Result<SiteProgramEnd>& end) {
  const std::string node = std::exchange(slot.node, {});
  const std::string& program = plan_.rules().program;
  std::vector<HeardNode> nodes = world_.hear();
  auto there = std::ranges::find(nodes, std::string_view(node), &HeardNode::node);
  if (there == nodes.end()) return;  // nodes are never forgotten
  std::string why = end ? Describe(*end) : end.error().message;
  switch (plan_.Answered(*there, end && end->good(), why, loop_.Now())) {
    case FencePlan::Verdict::kDead:
      return world_.declare_dead(node, Cat("fenced by ", program));
    case FencePlan::Verdict::kMoot:
      return Log(Level::kWarn, "the fence program's answer counts no more: the node has changed meanwhile",
                 {{"node", node}, {"program", program}, {"end", why}});
    case FencePlan::Verdict::kNot:
      return Log(Level::kWarn, "could not fence a silent node: its jobs go on waiting",
                 {{"node", node},
                  {"program", program},
                  {"end", why},
                  {"again_in_s", Whole(plan_.AgainIn(node, loop_.Now())).count()}});
  }
}

}  // namespace slipway::scheduler
