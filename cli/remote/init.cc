// SPDX-License-Identifier: Apache-2.0
// slipway init: the keys and certificates that a cluster's daemons know each other by.
#include <limits.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>

#include "api/pki.h"
#include "base/os/fd.h"
#include "base/text/text.h"
#include "base/text/units.h"
#include "cli/remote/own_cluster.h"
#include "cli/remote/subcommand.h"

namespace slipway::cli {
namespace {

Command Declare() {
  return {
      .name = "slipway init",
      .summary = "make a cluster's CA, keys and certificates in a folder",
      .examples = {{"slipway init /etc/slipway --name hpc1", "a new cluster"},
                   {"slipway init /etc/slipway --node n1 --node n2",
                    "certificates for two nodes (more can follow)"},
                   {"slipway init ~/.config/slipway --rootless", "without root, for yourself"}},
      .options = {{.name = "name",
                   .type = Option::kString,
                   .value_name = "NAME",
                   .help = "the cluster's name; default: cluster"},
                  {.name = "node",
                   .type = Option::kList,
                   .value_name = "NODE",
                   .help = "make this node's certificate and key"},
                  {.name = "rootless",
                   .help = "a whole cluster of yours on this host, for `systemctl --user`: settings and "
                           "folders, too"},
                  {.name = "port",
                   .type = Option::kString,
                   .value_name = "N",
                   .help =
                       "of the rootless controller on the loopback, the agent has the next; default 6831"}},
      .positionals = {{.name = "DIR", .arity = Positional::kOne, .complete = "dir"}}};
}

std::string HostName() {
  char name[HOST_NAME_MAX + 1] = "";
  ::gethostname(name, sizeof name - 1);
  std::string host(name, std::min(std::string_view(name).find('.'), std::string_view(name).size()));
  for (char& c : host) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return host;
}

Result<int> InitRootless(const Parsed& options) {
  if (options.Has("node"))
    return Fail(Code::kInvalidArgument, "--rootless is a cluster of one node, this host: without --node");
  const char* home = std::getenv("HOME");
  if (home == nullptr || home[0] != '/') return Fail(Code::kFailedPrecondition, "HOME is not set");
  OwnCluster cluster{.home = home, .node = HostName(), .uid = ::getuid(), .gid = ::getgid()};
  if (cluster.uid == 0)
    return Fail(Code::kFailedPrecondition, "root has the units of the system: without --rootless");
  TRY(MakeDirectories(options.positionals()[0], 0755));
  cluster.folder = std::filesystem::canonical(options.positionals()[0]).string();
  cluster.name = options.Value("name", "mine");
  cluster.port =
      static_cast<unsigned>(TRY_CONTEXT(ParseNumber(options.Value("port", "6831"), 1, 65534), "--port"));
  cluster.id = TRY(InitCluster(cluster.folder, cluster.name)).cluster_id;
  TRY(IssueNode(cluster.folder, cluster.node));
  TRY(WriteFiles(cluster));
  TRY(SetUserContext(ContextOf(cluster)));
  Print(Cat("cluster ", cluster.name, ", node ", cluster.node, ", settings in ", cluster.folder,
            "; next:\n  systemctl --user enable --now slipway-steps slipway-broker slipwayd slipway-agent\n"
            "  loginctl enable-linger   # to keep it when you log out\n"));
  if (cluster.folder != cluster.home + "/.config/slipway")
    Print("The units look in ~/.config/slipway: theirs need a drop-in for this folder.\n");
  return 0;
}

Result<int> Run(const Parsed& options) {
  if (options.Has("rootless")) return InitRootless(options);
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
