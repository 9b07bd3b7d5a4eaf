// SPDX-License-Identifier: Apache-2.0
// The part of StepTable that carries what the job's batch step and its other steps say to one another
// (decision 65). Who may speak is who the controller's plan names: to the batch step any node of the job, to
// another step the batch step's node.
#include <algorithm>

#include "agent/steps/step_table.h"
#include "agent/steps/user_word.h"
#include "base/log/log.h"

namespace slipway {

Result<> StepTable::OnRendezvous(Entry& entry, std::string_view payload) {
  StepRendezvous word = TRY(ReadStepRendezvous(payload));
  const KnownStep& known = entry.known;
  if (known.job_nodes.empty()) return {};  // as in OnExchange
  if (known.step.step != kBatchStep) {
    entry.met = true;
    ToStep(entry, 0, kBatchStep, {.bytes = std::move(word.bytes)});
    return {};
  }
  auto at = std::find(known.job_nodes.begin(), known.job_nodes.end(), word.node);
  if (at == known.job_nodes.end() || word.step == kBatchStep)
    return Fail(Code::kInvalidArgument, "stepd writes to a step that is not another of its job's");
  ToStep(entry, static_cast<std::size_t>(at - known.job_nodes.begin()), word.step,
         {.bytes = std::move(word.bytes), .gone = std::move(word.gone)});
  return {};
}

void StepTable::ToStep(const Entry& from, std::size_t job_node, std::uint32_t step, PeerWord word) {
  const KnownStep& known = from.known;
  if (job_node >= known.job_nodes.size()) return;
  StepId to{known.step.job, known.step.attempt, step};
  word.sender = node_;
  word.from_step = known.step.step;
  if (known.job_nodes[job_node] != node_)
    return events_.to_step(known.job_nodes[job_node], known.job_addresses[job_node], to, std::move(word));
  // From the loop, as what a step says to itself.
  loop_.Post([this, alive = alive_, to, word = std::move(word)]() mutable {
    if (*alive) FromStep(to, std::move(word));
  });
}

// What comes before its stepd is there is lost: the exchange sends it again.
void StepTable::FromStep(const StepId& step, PeerWord word) {
  Entry* entry = Find(step);
  if (entry == nullptr || !entry->attached) return;
  const std::vector<std::string>& nodes = entry->known.job_nodes;
  bool batch = step.step == kBatchStep;
  bool known = batch ? std::find(nodes.begin(), nodes.end(), word.sender) != nodes.end()
                     : !nodes.empty() && nodes[0] == word.sender;
  if (!known || batch == (*word.from_step == kBatchStep)) {
    Log(Level::kWarn, "a peer speaks for a step that it has no part in",
        {{"step", ToString(step)}, {"peer", word.sender}, {"claims", *word.from_step}});
    return;
  }
  entry->link->Send(StepFrame::kRendezvousIn, StepRendezvous{*word.from_step, word.sender,
                                                             std::move(word.bytes), std::move(word.gone)});
}

void StepTable::RendezvousLost(Entry& entry, const std::string& node, const std::string& reason) {
  const std::vector<std::string>& nodes = entry.known.job_nodes;
  if (!entry.attached || node == node_ || std::find(nodes.begin(), nodes.end(), node) == nodes.end()) return;
  std::uint32_t step = entry.known.step.step == kBatchStep ? kAnyStep : kBatchStep;
  entry.link->Send(StepFrame::kRendezvousIn, StepRendezvous{.step = step, .node = node, .gone = reason});
}

}  // namespace slipway
