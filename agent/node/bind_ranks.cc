// SPDX-License-Identifier: Apache-2.0
#include "agent/node/bind_ranks.h"

#include "agent/binding/bind_plan.h"

namespace slipway {

Result<> BindRanks(const Topology& topology, StepSpec& spec) {
  if (spec.step.step == kBatchStep) return {};
  BindRequest request = TRY(BindRequestOf(spec.env));
  spec.tell_binding = request.bind.verbose;
  if (topology.processors.empty() || spec.node_index >= spec.ranks.size()) {
    spec.binding = "none (this node only counts its cores)";
    return {};
  }
  BindPlan plan =
      TRY(PlanBinding(topology, spec.cpus, spec.ranks[spec.node_index].size(), spec.cores_per_task, request));
  spec.binding = DescribeBinding(plan);
  spec.rank_cpus = std::move(plan.cpus);
  return {};
}

}  // namespace slipway
