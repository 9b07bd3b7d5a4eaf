// SPDX-License-Identifier: Apache-2.0
// slipway nodes: what the cluster is made of.
#include "base/text/text.h"
#include "base/text/units.h"
#include "cli/remote/cluster.h"
#include "cli/remote/subcommand.h"
#include "cli/show/grouped.h"
#include "cli/show/json.h"
#include "cli/show/table.h"
#include "slipway/v1/node.grpc.pb.h"

namespace slipway::cli {
namespace {

Command Declare() {
  return {.name = "slipway nodes",
          .summary = "list the nodes, what is free on them, and what they cannot do",
          .examples = {{"slipway nodes", "the table"}, {"slipway nodes --json", "for programs"}},
          .options = {JsonOption(), ContextOption()}};
}

template <class Names>
std::string Joined(const Names& names) {
  return Join(std::vector<std::string>(names.begin(), names.end()), ",");
}

// "a100:4 (1 free), nic:2"
std::string GpusText(const v1::Node& node) {
  std::vector<std::string> kinds;
  auto text = [](const v1::Amount& amount) {
    return Cat(amount.name(), amount.name().empty() ? "" : ":", amount.count());
  };
  for (const v1::Amount& gpu : node.gpus()) kinds.push_back(text(gpu));
  std::string all = Join(kinds, ",");
  if (!kinds.empty()) all += Cat(" (", node.gpus_free(), " free)");
  for (const v1::Amount& gres : node.gres()) all += Cat(all.empty() ? "" : ", ", text(gres));
  return all;
}

Result<int> Run(const Parsed& options) {
  Cluster cluster = TRY(Cluster::Of(options));
  auto reply = TRY(cluster.Call<v1::Nodes>(&v1::Nodes::Stub::List, v1::ListNodesRequest()));
  if (options.Has("json")) {
    Print(NodesJson(reply));
    return 0;
  }
  Table table({{"NODE"},
               {"STATE"},
               {"CORES", true},
               {"FREE", true},
               {"MEMORY", true},
               {"FREE", true},
               {"JOBS", true},
               {"GPUS"},
               {"PARTITIONS"},
               {"FEATURES"},
               {"ADDRESS"},
               {"NOTE"}});
  for (const v1::Node& node : reply.nodes()) {
    std::string note = node.reason();
    if (note.empty() && !node.cannot().empty())
      note = Join(GroupedByReason({node.cannot().begin(), node.cannot().end()}), "; ");
    table.Add({node.name(), node.state(), Cat(node.cores()), Cat(node.cores_free()),
               FormatBytes(node.memory_bytes()), FormatBytes(node.memory_bytes_free()), Cat(node.jobs_size()),
               GpusText(node), Joined(node.partitions()), Joined(node.features()), node.address(), note});
  }
  Print(table.Text(WantsColour(1)));
  return 0;
}

}  // namespace

const Subcommand kNodes{{"nodes"}, Declare, Run};

}  // namespace slipway::cli
