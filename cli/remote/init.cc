// SPDX-License-Identifier: Apache-2.0
// slipway init: the keys and certificates that a cluster's daemons know each other by.
#include "api/pki.h"
#include "cli/remote/subcommand.h"

namespace slipway::cli {
namespace {

Command Declare() {
  return {.name = "slipway init",
          .summary = "make a cluster's CA, keys and certificates in a folder",
          .examples = {{"slipway init /etc/slipway --name hpc1", "a new cluster"},
                       {"slipway init /etc/slipway --node n1 --node n2",
                        "certificates for two nodes (more can follow)"}},
          .options = {{.name = "name",
                       .type = Option::kString,
                       .value_name = "NAME",
                       .help = "the cluster's name; default: cluster"},
                      {.name = "node",
                       .type = Option::kList,
                       .value_name = "NODE",
                       .help = "make this node's certificate and key"}},
          .positionals = {{.name = "DIR", .arity = Positional::kOne, .complete = "dir"}}};
}

Result<int> Run(const Parsed& options) {
  const std::string& dir = options.positionals()[0];
  auto made = InitCluster(dir, options.Value("name", "cluster"));
  // Nodes join an existing cluster; anything else about one that exists is a mistake.
  bool existed = !made && made.error().code == Code::kAlreadyExists;
  if (!made && !(existed && options.Has("node"))) return Failure(std::move(made).error());
  for (const std::string& node : options.List("node")) {
    TRY(IssueNode(dir, node));
    Print(Cat("node ", node, ": ", dir, "/nodes/", node, ".crt and .key; copy them to the node, with ", dir,
              "/ca.pem and controller.pub\n"));
  }
  if (!existed)
    Print(Cat("cluster id ", made->cluster_id, "\nkeys and certificates are in ", dir,
              "; next: `slipway init ", dir, " --node NAME` for each node\n"));
  return 0;
}

}  // namespace

const Subcommand kInit{{"init"}, Declare, Run};

}  // namespace slipway::cli
