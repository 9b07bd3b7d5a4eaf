// SPDX-License-Identifier: Apache-2.0
#include "agent/stepd/start_word.h"

#include <sys/random.h>

#include <algorithm>
#include <thread>

#include "agent/stepd/mpi_settings.h"
#include "pmix/exchange/exchange.h"

namespace slipway {
namespace {

// The cores that the job has here; where nobody said, the processors that there are.
std::uint32_t SlotsHere(const StepSpec& spec) {
  std::size_t cores = spec.cores > 0 ? spec.cores : std::size_t{std::thread::hardware_concurrency()};
  return static_cast<std::uint32_t>(cores / std::max(1U, spec.cores_per_task));
}

}  // namespace

StartWord StartWordOf(const StepSpec& spec) {
  StartWord word{.nodes = {spec.node_index}, .slots = {SlotsHere(spec)}};
  if (spec.mpi != MpiKind::kNone) word.devices = DevicesIn("/dev");
  if (spec.node_index != 0) return word;
  std::uint64_t secret[2] = {};
  CHECK(::getrandom(secret, sizeof secret, 0) == sizeof secret);
  word.nspace = Cat("slipway.", ToString(spec.step), ".", secret[0], ".", secret[1]);
  return word;
}

Result<StartWord> Agree(std::string_view all) {
  StartWord agreed;
  for (const std::string& part : PartsOf(all)) {
    auto word = Decode<StartWord>(part, "start");
    if (!word || word->nodes.size() != word->slots.size())
      return Fail(Code::kFailedPrecondition, "its nodes do not run the same release");
    if (!word->nspace.empty()) {
      agreed.nspace = std::move(word->nspace);
      agreed.parent = std::move(word->parent);
      agreed.parent_rank = word->parent_rank;
      agreed.worlds = std::move(word->worlds);
    }
    agreed.devices |= word->devices;
    agreed.nodes.insert(agreed.nodes.end(), word->nodes.begin(), word->nodes.end());
    agreed.slots.insert(agreed.slots.end(), word->slots.begin(), word->slots.end());
  }
  return agreed;
}

std::vector<SpawnLedger::Node> SlotsOf(const StepSpec& spec, const StartWord& agreed) {
  std::vector<SpawnLedger::Node> nodes;
  for (std::size_t i = 0; i < spec.nodes.size(); ++i) {
    auto used = static_cast<std::uint32_t>(spec.ranks[i].size());
    nodes.push_back({.name = spec.nodes[i], .slots = used, .used = used});
  }
  for (std::size_t i = 0; i < agreed.nodes.size(); ++i) {
    if (agreed.nodes[i] >= nodes.size()) continue;
    SpawnLedger::Node& node = nodes[agreed.nodes[i]];
    node.slots = std::max(node.used, agreed.slots[i]);
  }
  return nodes;
}

}  // namespace slipway
