// SPDX-License-Identifier: Apache-2.0
// What sinfo shows: nodes of one partition that are alike in all that is asked for are one line.
#pragma once

#include <vector>

#include "cli/habits/field.h"
#include "slipway/v1/node.pb.h"

namespace slipway::cli {

struct NodeGroup {  // borrowed; never without a node, except a partition's that has none
  const v1::Partition* partition = nullptr;
  std::vector<const v1::Node*> nodes;
};
std::span<const Field<NodeGroup>> NodeGroupFields();
// Fields that add up or list the nodes do not tell them apart; all others do.
bool TellsApart(const Field<NodeGroup>& field);

}  // namespace slipway::cli
