// SPDX-License-Identifier: Apache-2.0
// What the nodes of a step tell one another before it starts: a name for its world that nobody else can
// guess, and what each has.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result/result.h"
#include "base/wire/wire.h"
#include "launcher/spec/step_spec.h"
#include "pmix/exchange/rendezvous.h"
#include "pmix/exchange/spawn.h"

namespace slipway {

struct StartWord {
  std::string nspace;                // the first node's
  std::uint32_t devices = 0;         // mpi_settings.h
  std::vector<std::uint32_t> nodes;  // who says it: one of them, or all
  std::vector<std::uint32_t> slots;  // of each of these: ranks that its processors are enough for
  // Of a step that a rank of another spawned: which, and the worlds of its step. The first node's.
  std::string parent;
  std::uint32_t parent_rank = 0;
  std::vector<JobWorld> worlds;
};
void Fields(auto& archive, IsA<StartWord> auto& v) {
  archive(v.nspace, v.devices, v.nodes, v.slots, v.parent, v.parent_rank, v.worlds);
}

StartWord StartWordOf(const StepSpec& spec);
// From the words of all nodes (parts of an allgather) one of all.
Result<StartWord> Agree(std::string_view all);
// Every node of the step, with what it was found to have; one that said nothing has what it uses.
std::vector<SpawnLedger::Node> SlotsOf(const StepSpec& spec, const StartWord& agreed);

}  // namespace slipway
